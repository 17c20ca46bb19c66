"""The models' processes from birth to burial: started, parted from, reaped."""

import os
import signal
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from coordinator_dagster.errors import UserErrors
from coordinator_dagster.runners.base import AnswerStatus
from coordinator_dagster.runners.logs import open_log
from coordinator_dagster.runners.preload import imported
from coordinator_dagster.runners.processes import NOTHING, Model, Process
from coordinator_dagster.runners.roster import Roster
from coordinator_dagster.runners.sandbox import refusals
from coordinator_dagster.runners.zygote import Zygote


@dataclass
class Lives:
    """Gives the roster's models their processes, and takes them away.

    `patience` is in seconds: until a process is ready, and for what starts them. `memory` in bytes.
    """

    roster: Roster
    base_class: str
    preload: Sequence[str] | None  # None: what they import
    patience: float
    log_dir: Path | None
    memory: int
    required: Sequence[str]
    zygote: Zygote | None = None
    missing: dict[str, str] | None = None  # the layers that the models do not have, and why, once known
    aborted: bool = False
    _lost: list[tuple[Model, Process]] = field(default_factory=list)

    def start(self, models: Iterable[Model], changed: bool = True) -> list[Model]:
        """Fork each a process, `changed` ones if that may be, without waiting until it is ready; who has one."""
        started = []
        for one in models:
            one.again = one.ready = one.stopped = False
            one.inbox.clear()
            one.outbox = NOTHING
            if self.aborted:
                one.status, one.reason = "PLATFORM_FAULT", "the runner is being ended"
            elif self.roster.may_start(one, changed) and self._fork(one):
                started.append(one)
        return started

    def _fork(self, one: Model) -> bool:
        log = open_log(self.log_dir, one.info.id)
        try:
            one.process = self.starter(one.folder.parent).spawn(one.folder, log, self.memory, self.required)
        except OSError as fault:
            one.status, one.reason, one.again = "PLATFORM_FAULT", f"not started: {fault}", True
            return False
        finally:
            os.close(log)
        one.start_by = one.deadline = time.monotonic() + self.patience
        return True

    def starter(self, models_dir: Path) -> Zygote:
        """What forks the models of that folder; UserErrors when a layer is missing that is required.

        It is started anew when it was lost, or when MODELS_DIR, a link, has come to name another folder: with all
        the layers that there were, or not at all, an OSError.
        """
        if self.zygote and self.zygote.models_dir != models_dir:
            self.zygote.close()
        if self.zygote is None or self.zygote.lost:
            self.zygote = Zygote(models_dir, self.base_class, self._preload(), self.patience)
            missing = self.zygote.missing
            if self.missing is not None and (lost := sorted(missing.keys() - self.missing.keys())):
                self.zygote.close()
                why = "; ".join(f"{name}: {missing[name]}" for name in lost)
                raise OSError(f"what confined the models is missing now: {why}")
            self.missing = missing
            if faults := refusals(missing, self.required):
                self.zygote.close()
                raise UserErrors(faults)
        return self.zygote

    def suit(self) -> None:
        """Before all start anew: what forks them has to have loaded what they import now."""
        if self.zygote and not set(self._preload()) <= set(self.zygote.preload):
            self.zygote.close()

    def _preload(self) -> Sequence[str]:
        return imported(one.folder for one in self.roster.models.values()) if self.preload is None else self.preload

    def part(self, one: Model, status: AnswerStatus, reason: str) -> None:
        """Part from a model's process and kill it, unless it is gone (no `reason`); `bury` has the rest."""
        assert one.process
        self._lost.append((one, one.process))
        if reason:
            one.process.signal(signal.SIGKILL)
        one.process.sock.close()
        one.process = None
        one.status, one.reason, one.again = status, reason, one.ready

    def bury(self) -> list[Model]:
        """Learn how the lost processes ended: those that nobody had killed. Dead with the zygote is our fault."""
        died = [one for one, _ in self._lost if not one.reason]
        for one, process in self._lost:
            try:
                assert self.zygote
                how = self.zygote.end(process)
            except OSError as fault:
                if not one.reason:
                    one.status, one.reason, one.again = "PLATFORM_FAULT", str(fault), True
            else:
                one.reason = one.reason or how
            if one.status == "FAILED" and not one.ready:
                one.reason = f"could not start: {one.reason}"
            process.close()
        self._lost.clear()
        return died

    def abort(self) -> None:
        """Kill every process at once, from any thread."""
        self.aborted = True
        if self.zygote:
            self.zygote.kill()

    def close(self) -> None:
        """End every process."""
        if self.zygote:
            self.zygote.close()
        for one in self.roster.models.values():
            if one.process:
                self._lost.append((one, one.process))
                one.process = None
        for _, process in self._lost:
            process.close()
        self._lost.clear()
