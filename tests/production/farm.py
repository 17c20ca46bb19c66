"""One Dagster of two competitions, whose runs Celery workers execute: all of it as processes of this machine."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import yaml

from coordinator_dagster.cli.worker import Lane
from tests.kills.instance import gone, kill, with_children
from tests.nodes import write_settings
from tests.ui import PROJECT, environment

BROKER = os.environ.get("COORDINATOR_TEST_BROKER", "redis://127.0.0.1:6379/11")
COORDINATOR = [sys.executable, "-c", "from coordinator_dagster.cli import main; main()"]
DEFINITIONS = (PROJECT / "copier_template" / "private" / "definitions.py").read_text()
BEGUN = re.compile(r"Task (?:execute|resume)_job\[[^]]+\] received")
SHARED = {"CELERY_BROKER_URL": BROKER, "MODEL_LAYERS_WAIVED": "all", "MODEL_PRELOAD": "math"}


def make_competition(parent: Path, name: str, **settings: Any) -> Path:
    """A competition's folder, named by the role it has in the test."""
    folder = parent / name
    folder.mkdir()
    (folder / "definitions.py").write_text(DEFINITIONS)
    shutil.copyfile(PROJECT / "docker" / "celery" / "dagster.yaml", folder / "dagster.yaml")
    write_settings(folder, **settings)
    return folder


def make_ui(parent: Path, competitions: list[Path], **settings: Any) -> Path:
    """The folder of the UI and the daemon of these competitions; each location is named as its folder."""
    folder = make_competition(parent, "ui", **settings)
    (folder / "definitions.py").unlink()
    entries = [
        {"relative_path": str(one / "definitions.py"), "working_directory": str(one), "location_name": one.name}
        for one in competitions
    ]
    (folder / "workspace.yaml").write_text(yaml.safe_dump({"load_from": [{"python_file": one} for one in entries]}))
    return folder


def environment_of(folder: Path) -> dict[str, str]:
    return environment(folder, **SHARED)


def coordinator(folder: Path, *command: str, **settings: Any) -> str:
    """What a command says; it has to succeed."""
    done = subprocess.run(
        [*COORDINATOR, *command],
        cwd=folder,
        env=environment(folder, **SHARED, **settings),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"coordinator {' '.join(command)}: {done.stdout}\n{done.stderr}"
    return done.stdout


class Worker:
    """`coordinator worker` of a competition, as a process with a log of its own."""

    def __init__(self, folder: Path, lane: Lane, name: str) -> None:
        self.name, self.log = name, folder / f"{name}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*COORDINATOR, "worker", lane],
                cwd=folder,
                env=environment_of(folder),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def begun(self) -> int:
        """How many runs it was given."""
        return len(BEGUN.findall(self.log.read_text()))

    def models(self) -> int:
        """How many processes of models its runs have."""
        return len(with_children(self.runs())) - len(self.runs())

    def runs(self) -> list[psutil.Process]:
        """The processes that execute its runs, or wait for one."""
        return psutil.Process(self.process.pid).children()

    def kill(self) -> None:
        """kill -9 of it and of all below it."""
        everything = self._all()
        for one in everything:
            kill(one)
        self.process.wait()
        gone(everything)

    def end(self, seconds: float) -> None:
        """SIGTERM; it has to end by itself within that time, with all below it."""
        everything = self._all()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(seconds)
        gone(everything)

    def _all(self) -> list[psutil.Process]:
        return with_children([psutil.Process(self.process.pid)]) if self.process.poll() is None else []


@contextmanager
def workers(started: Mapping[str, tuple[Path, Lane]]) -> Iterator[dict[str, Worker]]:
    """The workers by name; in the end none is left."""
    found = {name: Worker(folder, lane, name) for name, (folder, lane) in started.items()}
    try:
        yield found
    finally:
        for one in found.values():
            one.kill()
            print(f"--- {one.name}\n{one.log.read_text()[-4000:]}")
