"""The local runner: one process per model on this machine, all asked at once over socket pairs."""

import json
import os
import selectors
import signal
import time
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Self

from coordinator_dagster.errors import UserErrors
from coordinator_dagster.runners.answers import Broken, clean, parse
from coordinator_dagster.runners.base import PRELOAD, Answer, AnswerStatus, Call, ModelInfo
from coordinator_dagster.runners.confined.frames import ANSWER_CAP, REQUEST_CAP
from coordinator_dagster.runners.folders import discover
from coordinator_dagster.runners.logs import open_log
from coordinator_dagster.runners.processes import NOTHING, Model, Process
from coordinator_dagster.runners.sandbox import refusals
from coordinator_dagster.runners.zygote import Zygote

_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
_FRAME_SPARE = 8192  # bytes an answer frame may hold per call beside the values: an error's text, escaped


class LocalRunner:
    """Asks the models in the sub-folders of `models_dir`, each shut in a process of its own.

    Every sub-folder is a model; UserErrors names all that are not. Processes start at the first `fresh` or
    `ask`. `start_timeout` is in seconds; what a model prints goes to `log_dir/ID.log`; the modules of `preload`
    are loaded once for all. A model may map `memory` bytes. Where one of the `required` layers of `sandbox.LAYERS`
    is missing, nothing is started: UserErrors. A model that could not start is tried again at the next `fresh`;
    one that hung or died is started at once and holds up nobody.
    """

    def __init__(
        self,
        models_dir: Path,
        base_class: str = "slots.tracker:TrackerBase",
        log_dir: Path | None = None,
        start_timeout: float = 20.0,
        preload: Sequence[str] = PRELOAD,
        memory: int = 512 << 20,
        required: Sequence[str] = (),
    ) -> None:
        found, faults = discover(models_dir)
        if faults:
            raise UserErrors(faults)
        self._models = {id_: Model(*model) for id_, model in found.items()}
        self._models_dir, self._start_timeout = models_dir.resolve(), start_timeout
        self._memory, self._required = memory, required
        self._base_class, self._preload = base_class, preload
        self._log_dir = log_dir.resolve() if log_dir else None
        if self._log_dir:
            self._log_dir.mkdir(parents=True, exist_ok=True)
        self._zygote: Zygote | None = None
        self.missing: dict[str, str] | None = None  # the layers that the models do not have, and why, once known
        self._selector = selectors.DefaultSelector()
        self._waiting: set[Model] = set()  # owe a ready frame or an answer
        self._lost: list[tuple[Model, Process]] = []  # to be reaped
        self._frame, self._began, self._timeout, self._cap = NOTHING, 0.0, 0.0, ANSWER_CAP
        self.dispatch_seconds, self._started, self._aborted = 0.0, False, False

    def models(self) -> list[ModelInfo]:
        """The models known now, ordered by id; one whose folder has gone stays known."""
        return [one.info for one in self._models.values()]

    def fresh(self) -> None:
        """Start every model anew from its folder as it is now, new ones too; returns when all are ready."""
        for id_, (info, folder) in discover(self._models_dir)[0].items():
            self._models.setdefault(id_, Model(info, folder)).info = info
        self._models = dict(sorted(self._models.items()))
        for one in self._models.values():
            self._lose(one, "PLATFORM_FAULT", "started anew")
        self._reap()
        self._spawn(self._models.values())
        self._frame = NOTHING
        self._started, self._waiting = True, {one for one in self._models.values() if one.process}
        self._wait()
        self._reap()

    def ask(
        self, tick: bytes, calls: Sequence[Call], timeout: float, skip: Collection[str] = ()
    ) -> dict[str, list[Answer]]:
        """One instant, see `Runner.ask`; `timeout` in seconds.

        ValueError or TypeError when the calls are not JSON or the instant is over 16 MB.
        """
        asked = json.dumps([{"args": one.args, "kwargs": one.kwargs} for one in calls], allow_nan=False)
        body = b'{"tick":%b,"calls":%b}' % (tick, asked.encode())
        if len(body) > REQUEST_CAP:
            raise ValueError(f"the instant has {len(body)} bytes; {REQUEST_CAP} are allowed")
        if not self._started:
            self.fresh()
        models = [one for id_, one in self._models.items() if id_ not in skip]
        self._poll(0)  # a model between instants is silent
        died = [one for one, _ in self._lost if not one.reason]
        self._reap()
        self._spawn(died)

        self._frame = memoryview(len(body).to_bytes(4, "big") + body)
        self._cap = ANSWER_CAP + _FRAME_SPARE * (1 + len(calls))
        self._began, self._timeout = time.monotonic(), timeout
        self._waiting = {one for one in models if one.process}
        for one in models:
            one.reply, one.elapsed = None, 0.0
            one.deadline = self._began + timeout if one.ready else min(one.start_by, self._began + timeout)
            if one.process and one.ready:
                one.process.signal(signal.SIGCONT)
                self._send(one, self._frame)
        self.dispatch_seconds = time.monotonic() - self._began
        self._wait()

        answers = {}
        for one in models:
            if one.reply is not None:
                try:
                    answers[one.info.id] = parse(one.reply, len(calls), one.elapsed)
                except Broken as fault:
                    self._lose(one, "FAILED", str(fault))
        self._reap()
        for one in models:
            if one.info.id not in answers:
                answers[one.info.id] = [Answer(one.status, one.elapsed, reason=one.reason)] * len(calls)
        self._spawn([one for one in models if one.again])  # ready, as a rule, before the next instant
        return {one.info.id: answers[one.info.id] for one in models}

    def rest(self) -> bool:
        """See `Runner.rest`: nobody burns what the others need while nobody is asked."""
        for one in self._models.values():
            if one.process and one.ready:
                one.process.signal(signal.SIGSTOP)
        return False

    def confinement(self) -> dict[str, str]:
        """`missing`, found out now; UserErrors when a required layer is."""
        return self._starter().missing

    def abort(self) -> None:
        """Kill every process at once, from any thread; a running `ask` then finds them dead. `close` it after that."""
        self._aborted = True
        if self._zygote:
            self._zygote.kill()

    def close(self) -> None:
        """End every process; the runner cannot be used again."""
        self._selector.close()
        if self._zygote:
            self._zygote.close()
        for one in self._models.values():
            if one.process:
                one.process.close()
                one.process = None
        for _, lost in self._lost:
            lost.close()
        self._lost.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _wait(self) -> None:
        """Until nobody in `_waiting` owes a frame; who is past the deadline is given up."""
        while self._waiting:
            until, over = min(one.deadline for one in self._waiting), False
            while self._waiting and not over:
                left = until - time.monotonic()
                over = left <= 0  # then one last look, for what came while we slept
                self._poll(max(left, 0))
            now = time.monotonic()
            for one in [one for one in self._waiting if one.deadline <= now]:
                if one.ready:
                    self._lose(one, "TIMEOUT", f"no answer within {self._timeout:g} s")
                elif now >= one.start_by:
                    self._lose(one, "FAILED", f"not ready within {self._start_timeout:g} s")
                else:
                    self._waiting.discard(one)
                    one.status, one.reason = "FAILED", "could not start: not ready yet"
                    one.elapsed = now - self._began

    def _poll(self, timeout: float) -> None:
        """Move bytes for at most `timeout` seconds."""
        ready = self._selector.select(timeout)
        now = time.monotonic()
        for key, events in ready:
            one: Model = key.data
            try:
                if events & _WRITE:
                    self._send(one, one.outbox)
                    self.dispatch_seconds = time.monotonic() - self._began
                if events & _READ and one.process and (body := one.receive(self._cap)) is not None:
                    self._hear(one, body, now)
            except Broken as fault:
                self._lose(one, "FAILED", str(fault))
            except OSError:
                self._lose(one, "FAILED", "")

    def _send(self, one: Model, data: memoryview) -> None:
        """As much of `data` as the socket takes; the rest when it can take more."""
        assert one.process
        had = bool(one.outbox)
        try:
            one.outbox = data[one.process.sock.send(data) :]
        except BlockingIOError:
            one.outbox = data
        except OSError:
            self._lose(one, "FAILED", "")
            return
        if had != bool(one.outbox):
            self._selector.modify(one.process.sock, _READ | _WRITE if one.outbox else _READ, one)

    def _hear(self, one: Model, body: bytes, now: float) -> None:
        """A frame: the first tells how the start went, then one per instant is an answer."""
        if one.ready:
            if one not in self._waiting or one.outbox:
                raise Broken("sent a frame it was not asked for")
            one.reply, one.elapsed = body, now - self._began
            self._waiting.discard(one)
        elif body == b'{"ready":true}':
            one.ready = True
            if one in self._waiting and self._frame:
                one.deadline = self._began + self._timeout
                self._send(one, self._frame)
            else:
                self._waiting.discard(one)
        else:
            try:
                reason = json.loads(body)["error"]
            except (ValueError, TypeError, LookupError, RecursionError):
                raise Broken("sent a malformed frame") from None
            self._lose(one, "FAILED", clean(reason))

    def _lose(self, one: Model, status: AnswerStatus, reason: str) -> None:
        """Part from a model's process and kill it, unless it is gone (no `reason`); `_reap` has the rest."""
        if not one.process:
            return
        self._selector.unregister(one.process.sock)
        self._lost.append((one, one.process))
        self._waiting.discard(one)
        if reason:
            one.reply = None
            one.process.signal(signal.SIGKILL)
        if one.reply is None:
            one.elapsed = time.monotonic() - self._began
        one.process.sock.close()
        one.process = None
        one.status, one.reason, one.again = status, reason, one.ready

    def _reap(self) -> None:
        """Learn how the lost processes ended. Dead with the zygote is our fault, not the model's."""
        for one, process in self._lost:
            try:
                assert self._zygote
                how = self._zygote.end(process)
            except OSError as fault:
                if not one.reason:
                    one.status, one.reason, one.again = "PLATFORM_FAULT", str(fault), True
            else:
                one.reason = one.reason or how
            if one.status == "FAILED" and not one.ready:
                one.reason = f"could not start: {one.reason}"
            process.close()
        self._lost.clear()

    def _spawn(self, models: Iterable[Model]) -> None:
        """Fork a process for each, without waiting until it is ready."""
        for one in models:
            one.again = one.ready = False
            one.inbox.clear()
            one.outbox = NOTHING
            if self._aborted:
                one.status, one.reason = "PLATFORM_FAULT", "the runner is being ended"
                continue
            if not (one.folder / "main.py").is_file():
                one.status, one.reason = "ABSENT", "its folder has gone"
                continue
            log = open_log(self._log_dir, one.info.id)
            try:
                one.process = self._starter().spawn(one.folder, log, self._memory, self._required)
            except OSError as fault:
                one.status, one.reason, one.again = "PLATFORM_FAULT", f"not started: {fault}", True
                continue
            finally:
                os.close(log)
            one.start_by = one.deadline = time.monotonic() + self._start_timeout
            self._selector.register(one.process.sock, _READ, one)

    def _starter(self) -> Zygote:
        """What forks the models, started anew when it was lost."""
        if self._zygote is None or self._zygote.lost:
            self._zygote = Zygote(self._models_dir, self._base_class, self._preload, self._start_timeout)
            self.missing = self._zygote.missing
            if faults := refusals(self.missing, self._required):
                self._zygote.close()
                raise UserErrors(faults)
        return self._zygote
