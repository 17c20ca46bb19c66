"""The coordinator's ends of `worker.py`: of the process that forks the models, and of each model's own."""

import contextlib
import importlib.util
import json
import re
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coordinator_dagster.errors import UserError
from coordinator_dagster.runners import worker
from coordinator_dagster.runners.base import Answer, AnswerStatus, ModelInfo

NOTHING = memoryview(b"")
# All a model's process sees of our environment: no secrets, and one thread per numeric library.
_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "HOME": "/nonexistent",
    "PYTHONDONTWRITEBYTECODE": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # pandas loads pyarrow: a thread in what is to fork
    **{f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")},
}


class Zygote:
    """Forks models and ends them. An OSError means it could not; `lost`, that it and all models are gone."""

    def __init__(self, base_class: str, preload: Sequence[str], patience: float) -> None:
        """Start it; it has `patience` seconds for each reply.

        UserError when `base_class`, `module:Class`, or a module to preload cannot be loaded.
        """
        top = base_class.partition(":")[0].partition(".")[0]
        spec = importlib.util.find_spec(top) if re.fullmatch(r"\w+(\.\w+)*:\w+", base_class) else None
        if spec is None or not (spec.origin or spec.submodule_search_locations):
            raise UserError(f"MODEL_BASE_CLASSNAME: no module of {base_class!r} is found; write module:Class")
        places = [str(Path(p).parent) for p in spec.submodule_search_locations or [str(spec.origin)]]
        self.lost = False
        self._control, theirs = socket.socketpair()
        self._control.settimeout(patience)
        command = [sys.executable, "-I", worker.__file__, str(theirs.fileno()), base_class, ",".join(preload), *places]
        with theirs:  # a session of its own: Ctrl-C is for the coordinator
            self._process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], env=_ENVIRONMENT, cwd="/", start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        if error := self._call().get("error"):
            self.close()
            raise UserError(error)

    def _call(self, request: dict[str, Any] | None = None, fds: Sequence[int] = ()) -> dict[str, Any]:
        """Its reply to a request (its first word, without one)."""
        try:
            if request:
                socket.send_fds(self._control, [json.dumps(request).encode()], fds)
            if not (data := self._control.recv(65536)):
                raise ConnectionError("the process that starts models died")
        except OSError:  # after a time-out too: requests and replies no longer match
            self.close()
            raise
        reply: dict[str, Any] = json.loads(data)
        return reply

    def spawn(self, folder: Path, log: Path | None) -> tuple[int, socket.socket]:
        """Fork a process for the model in `folder`: its pid and our end of its socket, not blocking."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs, contextlib.ExitStack() as undo:
            undo.callback(ours.close)
            reply = self._call({"folder": str(folder), "log": log and str(log)}, [theirs.fileno()])
            if "error" in reply:
                raise OSError(reply["error"])
            undo.pop_all()
        return reply["pid"], ours

    def end(self, pid: int) -> str:
        """Kill a model's process, with its group, and reap it; how it ended, in words."""
        status = self._call({"end": pid})["status"]
        how = "" if status is None else f" (signal {-status})" if status < 0 else f" (exit code {status})"
        return "the model's process died" + how

    def kill(self) -> None:
        """End it and every model's process without a word; it is not reaped yet."""
        self._process.kill()  # the models' PR_SET_PDEATHSIG does the rest

    def close(self) -> None:
        """End it and every model's process."""
        self.lost = True
        self._control.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()


class Broken(Exception):
    """The model's process broke the protocol: how."""


@dataclass(eq=False)
class Model:
    """A model and, while `sock` is open, its process; times are of `time.monotonic`."""

    info: ModelInfo
    folder: Path
    sock: socket.socket | None = None
    pid: int = 0
    ready: bool = False
    again: bool = False  # to be started before the next instant
    start_by: float = 0.0
    deadline: float = 0.0
    inbox: bytearray = field(default_factory=bytearray)
    outbox: memoryview = NOTHING
    reply: bytes | None = None  # to this instant; without one, `status` and `reason` say why
    elapsed: float = 0.0
    status: AnswerStatus = "PLATFORM_FAULT"
    reason: str = "not started"

    def receive(self, cap: int) -> bytes | None:
        """A frame's body once it is whole. Broken or OSError when there will be none."""
        assert self.sock
        if not (data := self.sock.recv(1 << 16)):  # more costs a page fault each time
            raise ConnectionResetError
        self.inbox += data
        size = int.from_bytes(self.inbox[:4], "big")
        if len(self.inbox) < 4 or (len(self.inbox) < 4 + size <= 4 + cap):
            return None
        if size > cap:
            raise Broken(f"sent a frame of {size} bytes; {cap} are allowed")
        if len(self.inbox) > 4 + size:
            raise Broken("sent more than it was asked for")
        body = bytes(self.inbox[4:])
        self.inbox.clear()
        return body


def clean(text: object) -> str:
    """A model's words as a reason that any table can hold."""
    return str(text)[: worker.ERROR_CAP].replace("\0", " ").encode("utf-8", "replace").decode()


def parse(reply: bytes, count: int, elapsed: float) -> list[Answer]:
    """The answers in a frame; Broken when it is not `count` answers."""
    try:
        frame = json.loads(reply.decode())
        after = f"tick: {clean(frame['tick_error'])}" if frame["tick_error"] is not None else None
        own = int(frame["tick_us"]) + sum(int(one["us"]) for one in frame["answers"])
        queued = max(0.0, elapsed * 1000 - own / 1000)
        answers = []
        for one in frame["answers"]:
            spent = int(one["us"]) / 1000
            if "error" in one:
                reason = "; ".join(filter(None, [clean(one["error"]), after]))
                answers.append(Answer("FAILED", elapsed, None, spent, queued, reason))
            else:
                answers.append(Answer("SUCCESS", elapsed, one["value"], spent, queued, after))
    except (ValueError, TypeError, LookupError, OverflowError, RecursionError):
        raise Broken("sent a malformed answer") from None
    if len(answers) != count:
        raise Broken(f"sent {len(answers)} answers to {count} calls")
    return answers
