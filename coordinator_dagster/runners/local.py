"""The local runner: one process per model on this machine, all asked at once over socket pairs."""

import selectors
import signal
import time
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Self

from coordinator_dagster.errors import UserError
from coordinator_dagster.runners.answers import Broken, parse, request, why_not_started
from coordinator_dagster.runners.base import Answer, AnswerStatus, Call, ModelInfo
from coordinator_dagster.runners.confined.frames import ANSWER_CAP, ERROR_BYTES
from coordinator_dagster.runners.lives import Lives
from coordinator_dagster.runners.processes import NOTHING, Model
from coordinator_dagster.runners.roster import Roster

_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class LocalRunner:
    """Asks the models in the sub-folders of `models_dir`, each shut in a process of its own.

    Every sub-folder is a model; UserErrors names all that are not, `faults` does where it is `tolerant` of them.
    Processes start at the first `fresh` or `ask`. `start_timeout` is in seconds; what a model prints goes to
    `log_dir/ID.log`; the modules of `preload` (None: what they import of numpy and
    pandas) are loaded once for all. A model may map `memory` bytes. Where one of
    the `required` layers of `layers.LAYERS` is missing, nothing is started: UserErrors. A model that could not
    start is tried again at the next `fresh`; one that hung or died is started at once and holds up nobody.
    """

    def __init__(
        self,
        models_dir: Path,
        base_class: str = "slots.tracker:TrackerBase",
        log_dir: Path | None = None,
        start_timeout: float = 20.0,
        preload: Sequence[str] | None = None,
        memory: int = 512 << 20,
        required: Sequence[str] = (),
        tolerant: bool = False,
    ) -> None:
        if log_dir:
            log_dir.mkdir(parents=True, exist_ok=True)
        self._models_dir, self._roster = models_dir, Roster(models_dir, tolerant)
        self._lives = Lives(self._roster, base_class, preload, start_timeout, log_dir, memory, required)
        self._models = self._roster.models
        self._told = self.models()
        self._selector = selectors.DefaultSelector()
        self._waiting: set[Model] = set()  # owe a ready frame or an answer
        self._frame, self._began, self._timeout, self._cap = NOTHING, 0.0, 0.0, ANSWER_CAP
        self.dispatch_seconds, self._started, self._unasked = 0.0, False, False

    @property
    def missing(self) -> dict[str, str] | None:
        """The layers that the models do not have, and why; None until the first start."""
        return self._lives.missing

    @property
    def faults(self) -> list[str]:
        """What is wrong with folders, in words."""
        return self._roster.faults

    def models(self) -> list[ModelInfo]:
        """The models known now, ordered by id; one whose folder has gone stays known."""
        return [one.info for one in self._models.values()]

    def fresh(self, wait: bool = True) -> None:
        """Start every model anew from its folder as it is now, new ones too; returns when all are ready.

        UserError when there is no folder of models.
        """
        changed = self._roster.look()
        anew = changed if self._unasked else list(self._models.values())
        for one in anew:
            self._lose(one, "PLATFORM_FAULT", "started anew")
        self._lives.bury()
        if not self._unasked:
            self._lives.suit()
        self._start(anew)
        self._unasked, self._frame = True, NOTHING
        if not wait:
            return
        self._started = True
        self._waiting = {one for one in self._models.values() if one.process and not one.ready}
        self._wait()
        self._lives.bury()
        self._told = self.models()

    def ask(
        self, tick: bytes, calls: Sequence[Call], timeout: float, skip: Collection[str] = ()
    ) -> dict[str, list[Answer]]:
        """One instant, see `Runner.ask`; `timeout` in seconds.

        ValueError or TypeError when the calls are not JSON or the instant is over 16 MB.
        """
        body = request(tick, calls)
        if not self._started:
            self.fresh()
        self._unasked = False
        models = [one for id_, one in self._models.items() if id_ not in skip]
        self._poll(0)  # a model between instants is silent
        self._start([*self._lives.bury(), *self._roster.held_back])

        self._frame = memoryview(len(body).to_bytes(4, "big") + body)
        self._cap = ANSWER_CAP + ERROR_BYTES * (1 + len(calls))
        self._began, self._timeout = time.monotonic(), timeout
        self._waiting = {one for one in models if one.process}
        for one in models:
            one.reply, one.elapsed = None, 0.0
            one.deadline = self._began + timeout if one.ready else min(one.start_by, self._began + timeout)
            if one.process and one.ready:
                if one.stopped:
                    one.stopped = False
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
        self._lives.bury()
        for one in models:
            if one.info.id not in answers:
                answers[one.info.id] = [Answer(one.status, one.elapsed, reason=one.reason)] * len(calls)
        # What is told of this instant's models must stay true: who has changed is not started here.
        self._start([one for one in models if one.again], changed=False)  # ready, as a rule, before the next instant
        return {one.info.id: answers[one.info.id] for one in models}

    def rest(self) -> bool:
        """See `Runner.rest`: none burns what the others need; a folder that has changed is taken up, if it is whole."""
        if not self._started:
            return False  # `fresh` looks by itself
        self._poll(0)
        for one in self._models.values():
            if one.process and one.ready:
                one.stopped = True
                one.process.signal(signal.SIGSTOP)
        try:
            anew = self._roster.look()
        except UserError as fault:  # ours: no model is charged for it
            anew = []
            self._roster.note([str(fault)])
        for one in anew:
            self._lose(one, "PLATFORM_FAULT", "started anew")
        died = self._lives.bury()  # started again now: at the next instant that would hold up everybody
        self._start(dict.fromkeys([*died, *anew]))
        told, self._told = self._told, self.models()
        return told != self._told

    def confinement(self) -> dict[str, str]:
        """`missing`, found out now; UserErrors when a required layer is."""
        return self._lives.starter(self._models_dir.resolve()).missing

    def abort(self) -> None:
        """Kill every process at once, from any thread; a running `ask` then finds them dead. `close` it after that."""
        self._lives.abort()

    def close(self) -> None:
        """End every process; the runner cannot be used again."""
        self._selector.close()
        self._lives.close()

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
                    self._lose(one, "FAILED", f"not ready within {self._lives.patience:g} s")
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
            self._lose(one, "FAILED", why_not_started(body))

    def _start(self, models: Iterable[Model], changed: bool = True) -> None:
        """See `Lives.start`."""
        for one in self._lives.start(models, changed):
            assert one.process
            self._selector.register(one.process.sock, _READ, one)

    def _lose(self, one: Model, status: AnswerStatus, reason: str) -> None:
        """Part from a model's process, if it has one; without a `reason` it is gone."""
        if not one.process:
            return
        self._selector.unregister(one.process.sock)
        self._waiting.discard(one)
        if reason:
            one.reply = None
        if one.reply is None:
            one.elapsed = time.monotonic() - self._began
        self._lives.part(one, status, reason)
