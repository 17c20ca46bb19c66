"""Starts the loop in processes of their own, each a fork of one that has everything imported, and kills them."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import psutil

from tests.crash.victim import Began, Ended, Order, Standing, materialize

ORPHANS_END_SECONDS = 5
STANDS_STILL_SECONDS = 5
GONE = -1

# A server that forks, without connections or threads, so that a process costs 10 ms, not 2 s of imports.
_FORKS = get_context("forkserver")
_FORKS.set_forkserver_preload(["pytest", "tests.crash.warm"])


@dataclass
class Running:
    """A process at work."""

    process: Any
    told: Connection

    def wait_for(self, kind: type, asset: str | None = None) -> Any:
        """The next report of that kind; fails when the process ends without it."""
        while True:
            try:
                report = self.told.recv()
            except EOFError:
                self.process.join()
                raise AssertionError(
                    f"the run ended, with exit code {self.process.exitcode}, before {kind.__name__} {asset or ''}; "
                    "its log is above"
                ) from None
            if isinstance(report, kind) and asset in (None, getattr(report, "asset", None)):
                return report

    def kill(self) -> int:
        """kill -9 of this process alone; how many processes it had started: of models, and what forks them.

        Fails when one of these is still there after a few seconds.
        """
        itself = psutil.Process(self.process.pid)
        itself.suspend()
        wait_until(lambda: itself.status() == psutil.STATUS_STOPPED, STANDS_STILL_SECONDS)
        children = itself.children(recursive=True)
        # What starts models has a session of its own, and models are in it.
        sessions = {child.pid for child in children} | {_session(child.pid) for child in children} - {GONE}
        os.kill(itself.pid, signal.SIGKILL)
        self.process.join()
        assert self.process.exitcode == -signal.SIGKILL
        wait_until(lambda: not _alive(sessions), ORPHANS_END_SECONDS)
        assert not (left := _alive(sessions)), f"they outlive the run that was killed: {left}"
        return len(children)


@contextmanager
def started(order: Order) -> Iterator[Running]:
    """A process that carries out the order; it is gone afterwards in any case."""
    told, teller = _FORKS.Pipe(duplex=False)
    process = _FORKS.Process(target=materialize, args=(order, teller))
    process.start()
    teller.close()
    try:
        yield Running(process, told)
    finally:
        process.kill()
        process.join()
        told.close()


def run_through(order: Order) -> dict[str, Ended]:
    """Carry out the order, undisturbed: each step's points and duration."""
    steps = {}
    with started(order) as running:
        with contextlib.suppress(EOFError):
            while True:
                report = running.told.recv()
                if isinstance(report, Ended):
                    steps[report.asset] = report
        running.process.join()
        assert running.process.exitcode == 0, f"exit code {running.process.exitcode}; its log is above"
    return steps


def kill_at_point(order: Order) -> str | None:
    """Kill the run where the order stops it; which point that was, None: the end."""
    with started(order) as running:
        stands = running.wait_for(Standing)
        running.kill()
        return stands.point


def kill_after(order: Order, seconds: float) -> None:
    """Kill the run so long after the beginning of the step."""
    assert order.stop_in
    with started(order) as running:
        running.wait_for(Began, order.stop_in)
        time.sleep(seconds)
        running.kill()


def wait_until(done: Callable[[], bool], seconds: float) -> None:
    """Return when it is done, or the time is over."""
    until = time.monotonic() + seconds
    while not done() and time.monotonic() < until:
        time.sleep(0.005)


def _alive(sessions: set[int]) -> list[str]:
    """The living processes of these sessions; one that nobody reaped (a container without init) is dead."""
    found = []
    for process in psutil.process_iter(["status", "cmdline"]):
        living = process.info["status"] not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
        if living and _session(process.pid) in sessions:
            found.append(f"{process.pid} {process.info['cmdline']}")
    return found


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return GONE
