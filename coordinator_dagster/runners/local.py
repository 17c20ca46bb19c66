"""The local runner: one process per model on this machine, all asked at once over socket pairs."""

import contextlib
import json
import os
import selectors
import signal
import time
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Self

from coordinator_dagster.errors import UserError
from coordinator_dagster.runners import worker
from coordinator_dagster.runners.base import PRELOAD, Answer, AnswerStatus, Call, ModelInfo
from coordinator_dagster.runners.processes import NOTHING, Broken, Model, Zygote, clean, parse
from coordinator_dagster.runners.roster import Roster

_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
_FRAME_SPARE = 8192  # bytes an answer frame may hold per call beside the values: an error's text, escaped


class LocalRunner:
    """Asks the models in the sub-folders of `models_dir`, each in a process of its own.

    Every sub-folder is a model; UserErrors names all that are not, `faults` does where it is `tolerant` of them.
    Processes start at the first `fresh` or `ask`. `start_timeout` is in seconds; what a model prints goes to
    `log_dir/ID.log`; the modules of `preload` are loaded once for all. A model that could not start is tried again
    at the next `fresh`; one that hung or died is started at once and holds up nobody.
    """

    def __init__(
        self,
        models_dir: Path,
        base_class: str = "slots.tracker:TrackerBase",
        log_dir: Path | None = None,
        start_timeout: float = 20.0,
        preload: Sequence[str] = PRELOAD,
        tolerant: bool = False,
    ) -> None:
        self._roster, self._start_timeout = Roster(models_dir, tolerant), start_timeout
        self._models = self._roster.models
        self._told = self.models()
        self._base_class, self._preload = base_class, preload
        self._log_dir = log_dir.resolve() if log_dir else None
        if self._log_dir:
            self._log_dir.mkdir(parents=True, exist_ok=True)
        self._zygote: Zygote | None = None
        self._selector = selectors.DefaultSelector()
        self._waiting: set[Model] = set()  # owe a ready frame or an answer
        self._lost: list[Model] = []  # processes to be reaped
        self._frame, self._began, self._timeout, self._cap = NOTHING, 0.0, 0.0, worker.ANSWER_CAP
        self.dispatch_seconds, self._aborted = 0.0, False

    @property
    def faults(self) -> list[str]:
        """What is wrong with folders, in words."""
        return self._roster.faults

    def models(self) -> list[ModelInfo]:
        """The models known now, ordered by id; one whose folder has gone stays known."""
        return [one.info for one in self._models.values()]

    def fresh(self) -> None:
        """Start every model anew from its folder as it is now, new ones too; returns when all are ready.

        UserError when there is no folder of models.
        """
        self._roster.look()
        for one in self._models.values():
            self._lose(one, "PLATFORM_FAULT", "started anew")
        self._reap()
        self._spawn(self._models.values())
        self._frame = NOTHING
        self._waiting = {one for one in self._models.values() if one.sock}
        self._wait()
        self._reap()
        self._told = self.models()

    def ask(
        self, tick: bytes, calls: Sequence[Call], timeout: float, skip: Collection[str] = ()
    ) -> dict[str, list[Answer]]:
        """One instant, see `Runner.ask`; `timeout` in seconds.

        ValueError or TypeError when the calls are not JSON or the instant is over 16 MB.
        """
        asked = json.dumps([{"args": one.args, "kwargs": one.kwargs} for one in calls], allow_nan=False)
        body = b'{"tick":%b,"calls":%b}' % (tick, asked.encode())
        if len(body) > worker.REQUEST_CAP:
            raise ValueError(f"the instant has {len(body)} bytes; {worker.REQUEST_CAP} are allowed")
        if self._zygote is None:
            self.fresh()
        models = [one for id_, one in self._models.items() if id_ not in skip]
        self._poll(0)  # a model between instants is silent
        died = [one for one in self._lost if not one.reason]
        self._reap()
        self._spawn([*died, *self._roster.held_back])

        self._frame = memoryview(len(body).to_bytes(4, "big") + body)
        self._cap = worker.ANSWER_CAP + _FRAME_SPARE * (1 + len(calls))
        self._began, self._timeout = time.monotonic(), timeout
        self._waiting = {one for one in models if one.sock}
        for one in models:
            one.reply, one.elapsed = None, 0.0
            one.deadline = self._began + timeout if one.ready else min(one.start_by, self._began + timeout)
            if one.sock and one.ready:
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
        # What is told of this instant's models must stay true: who has changed is not started here.
        self._spawn([one for one in models if one.again], changed=False)  # ready, as a rule, before the next instant
        return {one.info.id: answers[one.info.id] for one in models}

    def rest(self) -> bool:
        """See `Runner.rest`. A model whose folder is broken or being written stays as it is; the log says so once."""
        if self._zygote is None:
            return False  # `fresh` looks by itself
        try:
            anew = self._roster.look()
        except UserError as fault:  # ours: no model is charged for it
            anew = []
            self._roster.note([str(fault)])
        for one in anew:
            self._lose(one, "PLATFORM_FAULT", "started anew")
        self._reap()
        self._spawn(anew)
        told, self._told = self._told, self.models()
        return told != self._told

    def abort(self) -> None:
        """Kill every process at once, from any thread; a running `ask` then finds them dead. `close` it after that."""
        self._aborted = True
        if self._zygote:
            self._zygote.kill()

    def close(self) -> None:
        """End every process; the runner cannot be used again."""
        self._selector.close()
        for one in self._models.values():
            if one.sock:
                one.sock.close()
        if self._zygote:
            self._zygote.close()

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
                if events & _READ and one.sock and (body := one.receive(self._cap)) is not None:
                    self._hear(one, body, now)
            except Broken as fault:
                self._lose(one, "FAILED", str(fault))
            except OSError:
                self._lose(one, "FAILED", "")

    def _send(self, one: Model, data: memoryview) -> None:
        """As much of `data` as the socket takes; the rest when it can take more."""
        assert one.sock
        had = bool(one.outbox)
        try:
            one.outbox = data[one.sock.send(data) :]
        except BlockingIOError:
            one.outbox = data
        except OSError:
            self._lose(one, "FAILED", "")
            return
        if had != bool(one.outbox):
            self._selector.modify(one.sock, _READ | _WRITE if one.outbox else _READ, one)

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
        if not one.sock:
            return
        self._selector.unregister(one.sock)
        one.sock.close()
        one.sock = None
        self._waiting.discard(one)
        if reason:
            one.reply = None
            with contextlib.suppress(OSError):  # its pid is its own until the zygote has reaped it
                os.killpg(one.pid, signal.SIGKILL)
        if one.reply is None:
            one.elapsed = time.monotonic() - self._began
        one.status, one.reason, one.again = status, reason, one.ready
        self._lost.append(one)

    def _reap(self) -> None:
        """Learn how the lost processes ended. Dead with the zygote is our fault, not the model's."""
        for one in self._lost:
            try:
                assert self._zygote
                how = self._zygote.end(one.pid)
            except OSError as fault:
                if not one.reason:
                    one.status, one.reason, one.again = "PLATFORM_FAULT", str(fault), True
            else:
                one.reason = one.reason or how
            if one.status == "FAILED" and not one.ready:
                one.reason = f"could not start: {one.reason}"
        self._lost.clear()

    def _spawn(self, models: Iterable[Model], changed: bool = True) -> None:
        """Fork a process for each, without waiting until it is ready; for `changed` ones if that may be."""
        for one in models:
            one.again = one.ready = False
            one.inbox.clear()
            one.outbox = NOTHING
            if self._aborted:
                one.status, one.reason = "PLATFORM_FAULT", "the runner is being ended"
                continue
            if not self._roster.may_start(one, changed):
                continue
            try:
                if self._zygote is None or self._zygote.lost:
                    self._zygote = Zygote(self._base_class, self._preload, self._start_timeout)
                one.pid, one.sock = self._zygote.spawn(
                    one.folder, self._log_dir and self._log_dir / f"{one.info.id}.log"
                )
            except OSError as fault:
                one.status, one.reason, one.again = "PLATFORM_FAULT", f"not started: {fault}", True
                continue
            one.start_by = one.deadline = time.monotonic() + self._start_timeout
            self._selector.register(one.sock, _READ, one)
