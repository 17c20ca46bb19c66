"""Keeps the processes of a live competition running, each started again when it ends, until it is told to stop."""

import ctypes
import logging
import os
import signal
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

from coordinator_dagster.errors import UserError
from coordinator_dagster.launcher import ServiceCommands
from coordinator_dagster.live_processes import MARK, end_runs, kill_what_is_left, report_dead_runs
from coordinator_dagster.store.embedded import embedded_runs, start_embedded

LOOK_SECONDS = 0.25
STEADY_SECONDS = 10  # whoever lived that long is started again at once
LONGEST_PAUSE_SECONDS = 30
DAEMON_ENDS_SECONDS = 2
RUNS_END_SECONDS = 8
SERVICES_END_SECONDS = 1.5  # nothing of theirs can be lost
PR_SET_PDEATHSIG = 1

_prctl: Any = getattr(ctypes.CDLL(None), "prctl", None)  # Linux only
log = logging.getLogger("coordinator")


class Kept(ABC):
    """Something that is started again when it has ended: at once, or after growing pauses where it keeps ending.

    It is not started before the file `needs` is there.
    """

    def __init__(self, name: str, needs: Path) -> None:
        self.name, self.needs = name, needs
        self.pause = self._due = 0.0  # seconds; monotonic
        self._since: float | None = None

    @abstractmethod
    def runs(self) -> bool: ...

    @abstractmethod
    def start(self) -> None:
        """Raises OSError or UserError."""

    def keep(self) -> None:
        """To be called again and again."""
        now = time.monotonic()
        if self.runs():
            self._since = self._since or now
        elif self._since:
            steady = now - self._since > STEADY_SECONDS
            self.pause = 0.0 if steady else min(max(1.0, 2 * self.pause), LONGEST_PAUSE_SECONDS)
            self._since, self._due = None, now + self.pause
            log.warning("the %s has ended; it starts again in %g s", self.name, self.pause)
        elif now >= self._due and self.needs.exists():
            self._since = now
            try:
                self.start()
            except (OSError, UserError) as error:
                log.error("the %s does not start: %s", self.name, error)


class Service(Kept):
    """A child process in a session of its own, so that a terminal's Ctrl-C does not reach it; it dies with us."""

    process: "subprocess.Popen[bytes] | None" = None

    def __init__(self, name: str, command: Sequence[str], home: Path, needs: Path) -> None:
        super().__init__(name, needs)
        self.command, self.environment = command, {**os.environ, MARK: str(home)}

    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command, env=self.environment, start_new_session=True, preexec_fn=_dying_with(os.getpid())
        )


def _dying_with(parent: int) -> Callable[[], None]:
    """For a new child: killed when the thread that started it ends, even by kill -9."""

    def ask() -> None:
        if _prctl:
            _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return ask


class EmbeddedPostgres(Kept):
    """The embedded server of a folder; it outlives us."""

    def __init__(self, home: Path) -> None:
        super().__init__("embedded PostgreSQL", needs=home)
        self.home = home

    def runs(self) -> bool:
        return embedded_runs(self.home)

    def start(self) -> None:
        start_embedded(self.home)


def supervise(
    home: Path,
    commands: ServiceCommands,
    socket: Path,
    postgres: EmbeddedPostgres | None,
    ready: Callable[[], bool] = lambda: True,
) -> bool:
    """Keep them running until SIGINT or SIGTERM, then end the runs and them; a second signal kills everything.

    The code server listens at `socket`. True at SIGUSR2 where it is `ready`: the services have ended, the runs go on,
    and who called begins anew with what is installed now.
    """
    code_server = Service("code server", commands.code_server, home, needs=home)
    webserver = Service("webserver", commands.webserver, home, needs=socket)
    daemon = Service("daemon", commands.daemon, home, needs=socket)
    kept = [*([postgres] if postgres else []), code_server, webserver, daemon]
    asked = _Asked()
    try:
        report_dead_runs(home)
        while not asked.for_good(ready):
            for one in kept:
                one.keep()
        if asked.again:
            log.warning("beginning anew with what is installed now; the runs go on")
        else:
            log.warning("ending the runs and the services; once more kills them")
        _end([daemon], DAEMON_ENDS_SECONDS)  # else it would start the runs again
        if not asked.again:
            end_runs(home, RUNS_END_SECONDS)
        _end([webserver, code_server], SERVICES_END_SECONDS)
    except KeyboardInterrupt:
        log.warning("killing everything")
    finally:
        if not asked.again:
            kill_what_is_left(home)
    return asked.again


def _end(services: Sequence[Service], seconds: float) -> None:
    """Ask them to end; those that have not after that are killed."""
    running = [psutil.Process(one.process.pid) for one in services if one.process and one.runs()]
    for process in running:
        process.terminate()
    left = psutil.wait_procs(running, seconds)[1]
    for process in left:
        process.kill()
    psutil.wait_procs(left)  # nobody else reaps them


class _Asked:
    """What a signal has asked for: the first SIGINT or SIGTERM to end, the next to kill, SIGUSR2 to begin anew."""

    def __init__(self) -> None:
        self.anything, self.again = threading.Event(), False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2):
            signal.signal(number, self._ask)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR2})

    def for_good(self, ready: Callable[[], bool]) -> bool:
        """Whether something is to be done, after a moment; it is not begun anew where that is not `ready`."""
        if self.anything.wait(LOOK_SECONDS) and self.again and not ready() and self.again:
            self.again = False
            self.anything.clear()
        return self.anything.is_set()

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGUSR2:
            self.again = self.again or not self.anything.is_set()
        elif self.anything.is_set() and not self.again:
            raise KeyboardInterrupt
        else:
            self.again = False
        self.anything.set()
