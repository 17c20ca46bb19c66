"""The stand-in exchange and a real `coordinator live` against it, each a process, in a folder that goes again."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from coordinator_dagster.live_processes import processes_of
from coordinator_dagster.settings import Settings
from coordinator_dagster.store.embedded import stop_embedded
from slots.contracts import SLOT_NAMES
from tests.cli.serving import free_port

PROJECT = Path(__file__).parents[1]
COMPETITION = "soak"
COORDINATOR = [sys.executable, "-c", "from coordinator_dagster.cli import main; main()"]
ENDS_SECONDS = 30.0


@contextmanager
def exchange(tape: str, start: datetime, speed: float) -> Iterator[str]:
    """The URL of a stand-in exchange over the tape, whose clock shows `start` now and runs that much faster."""
    if importlib.util.find_spec("stand_in_exchange") is None:
        sys.exit("the stand-in exchange cannot be imported; put the folder that holds it on PYTHONPATH")
    command = [sys.executable, "-m", "stand_in_exchange", "--tape", tape, "--derive-ticks"]
    command += ["--start", start.isoformat(), "--speed", f"{speed:g}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            assert process.stdout
            if not (line := process.stdout.readline()):
                sys.exit(f"the stand-in exchange did not start: exit code {process.wait()}")
            yield json.loads(line)["url"]
        finally:
            process.kill()


@dataclass
class Coordinator:
    """A running `coordinator live` with everything of its own; `end` it, and look at what it left."""

    home: Path
    environment: dict[str, str]
    process: "subprocess.Popen[bytes]"

    @property
    def log(self) -> Path:
        return self.home / "log"

    def check(self) -> None:
        """RuntimeError when it has ended by itself."""
        if (code := self.process.poll()) is not None:
            raise RuntimeError(f"`coordinator live` ended (exit code {code}):\n{self.log.read_text()[-5000:]}")

    def end(self) -> tuple[int, list[str]]:
        """Ctrl-C: its exit code, and the command lines of what is left of it."""
        known = [one for own in processes_of(self.home) for one in [own, *_children(own)]]
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(ENDS_SECONDS)
        left = {one for one in known if one.is_running() and one.status() != psutil.STATUS_ZOMBIE}
        return code, [" ".join(one.cmdline()) for one in left | set(processes_of(self.home))]

    def ask(self, arguments: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        """Another command about the same competition."""
        return subprocess.run(
            [*COORDINATOR, *arguments], env=self.environment, cwd=self.home, capture_output=True, text=True, timeout=900
        )


@contextmanager
def coordinator(keep: bool, settings: dict[str, Any], pack: dict[str, Any]) -> Iterator[Coordinator]:
    """`coordinator live` of that pack with these settings and no others, and the embedded PostgreSQL."""
    home = Path(tempfile.mkdtemp(prefix="bench-soak-"))
    (home / "pack.json").write_text(json.dumps(pack))
    environment = _environment(home, settings)
    command = [*COORDINATOR, "live", "--port", free_port()]
    with (home / "log").open("w") as log:
        process = subprocess.Popen(command, env=environment, cwd=home, stdout=log, stderr=log, start_new_session=True)
    try:
        yield Coordinator(home, environment, process)
    finally:
        _kill(home, process)
        stop_embedded(home)
        if not keep:
            shutil.rmtree(home)


def _environment(home: Path, settings: dict[str, Any]) -> dict[str, str]:
    """Ours, without what somebody has set for a competition of theirs."""
    theirs = {name.upper() for name in [*Settings.model_fields, *SLOT_NAMES, "DAGSTER_HOME", "DAGSTER_POSTGRES_URL"]}
    environment = {name: value for name, value in os.environ.items() if name.upper() not in theirs}
    return environment | {
        "COORDINATOR_HOME": str(home),
        "PYTHONPATH": str(PROJECT),
        "COMPETITION": COMPETITION,
        "MODE": "live",
        "PACK": "pack.json",
        "MODELS_DIR": str(PROJECT / "examples" / "models"),
        **{name: str(value) for name, value in settings.items()},
    }


def _kill(home: Path, process: "subprocess.Popen[bytes]") -> None:
    """Whatever of it still runs, with the models, which do not carry its mark."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(ENDS_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for own in processes_of(home):
        for one in [*_children(own), own]:
            one.kill()


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []
