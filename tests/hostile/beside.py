"""Three good models beside hostile ones: what they answered, how fast, and what is left afterwards."""

import gc
import json
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from coordinator_dagster.runners.base import Answer, Call
from coordinator_dagster.runners.local import LocalRunner

MARK = "hostile-mark"
SECRET = "SECRET-that-nobody-may-see"
TIMEOUT = 0.25  # seconds
CALL = Call(["BTC", 60, 60])
GOOD = """from slots.tracker import TrackerBase

class Model(TrackerBase):
    def tick(self, data): self.data = data
    def predict(self, asset, horizon, step): return {'value': self.data['n'] * horizon}
"""


@dataclass
class Watched:
    """What came of it: answers by model and cycle, seconds until each good answer, bytes the coordinator grew by."""

    answers: dict[str, list[Answer]] = field(default_factory=dict)
    grown: int = 0

    @property
    def good(self) -> dict[str, list[Answer]]:
        return {name: answers for name, answers in self.answers.items() if name.startswith("good-")}

    @property
    def slowest(self) -> float:
        """The 99th percentile of the good models' seconds, the first cycle's apart."""
        seconds = sorted(one.elapsed for answers in self.good.values() for one in answers[1:])
        return seconds[round(0.99 * (len(seconds) - 1))]


@dataclass
class Surroundings:
    """What there is to be reached: files with a secret, a listener, sockets, a process."""

    folder: Path
    told: dict[str, Any]
    heard: list[socket.socket]

    def reached(self) -> list[str]:
        """Who connected or wrote."""
        found = []
        for one in self.heard:
            try:
                if one.type == socket.SOCK_STREAM:
                    one.accept()[0].close()
                    found.append(f"connected to {one.getsockname()!r}")
                else:
                    found.append(f"wrote {one.recv(10)!r}")
            except BlockingIOError:
                continue
        return found


@contextmanager
def surroundings(folder: Path) -> Iterator[Surroundings]:
    """A folder that any user may enter, so that only the confinement keeps a model out of it."""
    secret = folder / ".local.env"
    secret.write_text(SECRET)
    tcp, abstract = socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_UNIX)
    abstract.bind("\0hostile-abstract")
    abstract.listen()
    unix = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    unix.bind(str(folder / "socket"))
    (folder / "socket").chmod(0o777)
    heard = [tcp, abstract, unix]
    for one in heard:
        one.setblocking(False)
    victim = psutil.Popen(["sleep", "600"])
    told = {
        "secrets": [str(secret), str(folder / "models" / "good-1" / "main.py"), f"/models/good-1/{MARK}"],
        "folders": [str(folder), str(folder / "logs")],
        "port": tcp.getsockname()[1],
        "unix": str(folder / "socket"),
        "pids": [os.getpid(), os.getppid(), victim.pid],
    }
    try:
        yield Surroundings(folder, told, heard)
        assert victim.is_running(), "the process was killed"
    finally:
        victim.kill()
        victim.wait()
        for one in heard:
            one.close()


def watch(around: Surroundings, hostile: dict[str, str], cycles: int) -> Watched:
    """`cycles` instants of three good models and these; the runner is closed again."""
    models = around.folder / "models"
    shutil.rmtree(models, ignore_errors=True)
    for name, source in {**{f"good-{n}": GOOD for n in range(3)}, **hostile}.items():
        (models / name).mkdir(parents=True)
        (models / name / "main.py").write_text(source)
    (models / "good-1" / MARK).write_text(SECRET)
    files, seen = snapshot(models), Watched()
    runner = LocalRunner(models, log_dir=around.folder / "logs", start_timeout=1, preload=["math"])
    before = set(psutil.Process().children(recursive=True))
    processes: set[psutil.Process] = set()
    gc.collect()
    seen.grown -= psutil.Process().memory_info().rss
    try:
        runner.fresh()
        for n in range(cycles):
            tick = json.dumps({"n": n, **around.told}).encode()
            for name, answers in runner.ask(tick, [CALL], TIMEOUT).items():
                seen.answers.setdefault(name, []).append(kept(answers[0]))
            processes |= set(psutil.Process().children(recursive=True)) - before
            runner.rest()
        gc.collect()
        seen.grown += psutil.Process().memory_info().rss
    finally:
        runner.close()
    until = time.monotonic() + 5
    while (left := [one for one in processes if one.is_running()]) and time.monotonic() < until:
        time.sleep(0.01)
    assert left == []
    assert snapshot(models) == files
    return seen


def kept(answer: Answer) -> Answer:
    """The answer without a value that would itself be the memory that is measured."""
    value = answer.output.get("value") if isinstance(answer.output, dict) else None
    return answer if isinstance(value, int | float) else answer._replace(output=None)


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def marks() -> list[str]:
    """Files a model made where others can see them."""
    places = ["/", "/root", "/home", "/etc", "/usr", "/dev", "/dev/shm", "/var/tmp", "/run", tempfile.gettempdir()]
    return [str(path) for place in places for path in Path(place).glob(f"{MARK}*")]
