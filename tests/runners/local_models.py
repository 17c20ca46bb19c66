"""Models for the tests of the local runner, and how to ask them."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from coordinator_dagster.runners.base import Answer, Call
from coordinator_dagster.runners.local import LocalRunner
from coordinator_dagster.runners.processes import pid_of

ROOT = Path(__file__).parents[2]
HEAD = """import ctypes, os, sys, time
from slots.tracker import TrackerBase

class Model(TrackerBase):
    def tick(self, data): self.data = data
"""
GOOD = HEAD + "    def predict(self, asset, horizon, step): return {'value': self.data['n'] + horizon}\n"
CALL = Call(["BTC", 60, 60])
PID = "    def predict(self, asset, horizon, step): return {'value': os.getpid()}\n"
# A model that has found the socket it is not meant to know.
ROGUE = (
    """import os, socket, stat
def is_socket(fd):
    try: return stat.S_ISSOCK(os.fstat(fd).st_mode)
    except OSError: return False
sock = next(socket.socket(fileno=os.dup(fd)) for fd in range(3, 64) if is_socket(fd))
"""
    + HEAD
)

Make = Callable[..., LocalRunner]


def write(tmp_path: Path, name: str, source: str) -> None:
    folder = tmp_path / "models" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "main.py").write_text(source)


def body(predict: str) -> str:
    """A model whose `predict` is these lines."""
    lines = "".join(f"        {line}\n" for line in predict.splitlines())
    return f"{HEAD}    def predict(self, asset, horizon, step):\n{lines}"


def one(runner: LocalRunner, timeout: float = 10.0, n: int = 0) -> dict[str, Answer]:
    """Ask for a single forecast: the answer of each model."""
    answers = runner.ask(json.dumps({"n": n}).encode(), [CALL], timeout)
    assert all(len(a) == 1 for a in answers.values())
    return {model: a[0] for model, a in answers.items()}


def pid(runner: LocalRunner, model: str) -> int:
    """The pid of a model's process as we see it: its own namespace has other numbers."""
    process = runner._models[model].process
    assert process and process.handle is not None
    return pid_of(process.handle)


def wait_gone(pids: list[int], seconds: float = 3.0) -> list[int]:
    """Those of `pids` that still run after at most `seconds`."""
    until = time.monotonic() + seconds
    while (left := [p for p in pids if alive(p)]) and time.monotonic() < until:
        time.sleep(0.01)
    return left


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
