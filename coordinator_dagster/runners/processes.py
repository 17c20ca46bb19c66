"""A model and its process, as the coordinator holds them."""

import contextlib
import os
import re
import signal
import socket
from dataclasses import dataclass, field
from pathlib import Path

from coordinator_dagster.runners.answers import Broken
from coordinator_dagster.runners.base import AnswerStatus, ModelInfo

NOTHING = memoryview(b"")


def pid_of(handle: int) -> int:
    """The pid, as we see it, of the process behind a pidfd; Linux only."""
    told = Path(f"/proc/self/fdinfo/{handle}").read_text()
    found = re.search(r"^Pid:\s*(-?\d+)", told, re.MULTILINE)
    assert found, told
    return int(found[1])


@dataclass(eq=False)
class Process:
    """A model's process: our end of its socket, its pid as its starter knows it, and a handle to signal it by."""

    sock: socket.socket
    pid: int
    handle: int | None  # a pidfd; None where the system has none, and `pid` is everybody's

    def signal(self, number: int) -> None:
        """Signal all of it; nothing happens when it is gone. SIGSTOP and SIGCONT hold it up and let it go on."""
        with contextlib.suppress(OSError):
            if self.handle is not None:
                signal.pidfd_send_signal(self.handle, number)
            else:
                os.killpg(self.pid, number)  # a pid is its own until its starter has reaped it

    def close(self) -> None:
        self.sock.close()
        if self.handle is not None:
            os.close(self.handle)


@dataclass(eq=False)
class Model:
    """A model and, while it has one, its process; times are of `time.monotonic`."""

    info: ModelInfo
    folder: Path
    process: Process | None = None
    ready: bool = False
    stopped: bool = False  # between two instants of a live run
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
        assert self.process
        if not (data := self.process.sock.recv(1 << 16)):  # more costs a page fault each time
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
