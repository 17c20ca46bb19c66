"""Settling while live: what has become resolvable, each checkpoint; and each window when it is over."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from coordinator_dagster.errors import first_line
from coordinator_dagster.feeds.base import FeedError
from coordinator_dagster.live.patience import patiently
from coordinator_dagster.live.tell import Tell
from coordinator_dagster.runtime import Runtime
from coordinator_dagster.stages.facts import StageFailed
from coordinator_dagster.stages.ingest import contest_series
from coordinator_dagster.stages.predict import CLOSING
from coordinator_dagster.store.database import DatabaseAway
from coordinator_dagster.windows import Window
from slots.loader import SlotErrors, SlotFailure
from slots.tape import boundary

KIND = "settle"
RECOVER_EVERY = timedelta(minutes=1)  # how often what is missing of the tape is asked for again
CLOSE_WITHIN = CLOSING - timedelta(minutes=1)  # after that a window is closed as it is, and its board is interim
LOOK_SECONDS = 0.2  # real ones, between two looks at whether a window can be closed
OBSERVE_EVERY = timedelta(minutes=5)

Report = TypeVar("Report")


@dataclass
class Settler:
    """Settles the open windows of one live run, oldest first, until all are closed."""

    runtime: Runtime
    tell: Tell
    executor: Executor  # one thread
    open: list[Window]
    done: Callable[[], bool]  # what was begun is stored
    take_stored: Callable[[], dict[datetime, datetime]]
    faults: list[str] = field(default_factory=list)
    _unnoted: dict[datetime, datetime] = field(default_factory=dict)
    _since: datetime | None = None
    _recovered: datetime | None = None
    _observed: datetime | None = None

    @property
    def interval(self) -> timedelta:
        competition = self.runtime.competition
        seconds = competition.settings.checkpoint_interval_seconds or competition.pack.checkpoint_interval_seconds
        return timedelta(seconds=seconds)

    async def run(self) -> None:
        """Settle at each checkpoint and close what is over, until nothing is open."""
        clock = self.runtime.clock
        checkpoint = self._next(clock.now())
        while self.open:
            first = self.open[0]
            if clock.now() >= first.end and await patiently(self.tell, self.executor, self._can_close, first):
                await patiently(self.tell, self.executor, self._close, first)
                self.open.remove(first)
            elif clock.now() >= checkpoint:
                checkpoint = self._next(clock.now())
                await patiently(self.tell, self.executor, self._checkpoint, checkpoint)
            else:
                look = clock.now() + timedelta(seconds=LOOK_SECONDS * clock.speed)
                await clock.sleep_until(min(checkpoint, look if clock.now() >= first.end else max(look, first.end)))

    def _next(self, now: datetime) -> datetime:
        """Between two checkpoints' multiples, where no instant is being performed."""
        return boundary(now - self.interval / 2, self.interval) + self.interval * 1.5

    def _can_close(self, window: Window) -> bool:
        if self.runtime.clock.now() > window.end + CLOSE_WITHIN:
            self.tell.problem(
                f"{window.key}: not all is stored yet, of its data or its cycles; it is closed as it is, and settled "
                "again later"
            )
            return True
        series = contest_series(self.runtime.competition, self.runtime.feed)
        through = self.runtime.store.tape.knowable_through(series) if series else self.runtime.clock.now()
        return self.done() and through is not None and through >= window.end

    def _checkpoint(self, following: datetime) -> None:
        """Truths, scores and boards of what is new; a board inside a window is interim."""
        began = self.runtime.clock.now()
        stored = self._note_stored()
        recover = self._recovered is None or began >= self._recovered + RECOVER_EVERY
        window = next((one for one in self.open if one.start <= began < one.end), self.open[-1])
        self._rank(self._settle(window, recover), began)
        self.runtime.store.checkpoints.ran(KIND, int(self.interval.total_seconds()), began, following)
        # The first one when there is something to see.
        if stored if self._observed is None else began >= self._observed + OBSERVE_EVERY:
            self._observed = began
            self._guarded(partial(self.tell.observed, self.runtime, window))

    def _note_stored(self) -> int:
        """How many instants have been stored since the last time. They are kept while the database is away."""
        self._unnoted |= self.take_stored()
        if self._unnoted:
            self.runtime.store.cycles.note_stored(self._unnoted)
        noted, self._unnoted = len(self._unnoted), {}
        return noted

    def _close(self, window: Window) -> None:
        self._note_stored()
        self._since = None  # all of the window once more: what another run of it left, too
        touched = self._settle(window, recover=True)
        self._rank(sorted({*touched, window}), self.runtime.clock.now())
        self._guarded(partial(self.tell.closed, self.runtime, window))
        emitted = self._guarded(self.runtime.emit)
        for day in emitted.frozen if emitted else []:
            self._guarded(partial(self.tell.frozen, day))

    def _settle(self, window: Window, recover: bool) -> list[Window]:
        """The windows whose boards changed. Reads from the oldest cycle on that had no truth the last time."""
        span = Window(min(self._since or self.open[0].start, window.end), window.end)
        if recover:
            self._recovered = self.runtime.clock.now()
            self._heal()
        resolved = self._guarded(lambda: self.runtime.resolve([span], recover))
        scored = self._guarded(lambda: self.runtime.score([span]))
        if resolved and scored:
            self._since = resolved.pending_since or self.runtime.clock.now() - self._longest()
        return scored.touched if scored else []

    def _heal(self) -> None:
        try:
            self.runtime.heal()
        except FeedError as error:  # noted with the gap, and tried again
            self.tell.problem(f"gaps could not be filled: {first_line(error)}")

    def _rank(self, windows: Sequence[Window], now: datetime) -> None:
        """Their boards, and those that look back on them; of a window that is open it is known that it is interim."""
        for window in windows:
            self._guarded(partial(self.runtime.aggregate, [window]))
            self._guarded(partial(self.runtime.rank, [window], window.end > now))

    def _longest(self) -> timedelta:
        return max(one.horizon for one in self.runtime.competition.pack.configs) * 2

    def _guarded(self, stage: Callable[[], Report]) -> Report | None:
        """What a stage reports; None where it failed: that is told, and tried at the next checkpoint."""
        try:
            return stage()
        except DatabaseAway:
            raise  # it is waited for
        except Exception as failure:  # cycles go on; the run says at its end that it failed
            known = isinstance(failure, StageFailed | SlotFailure | SlotErrors)
            fault = first_line(failure) if known else f"{type(failure).__name__}: {first_line(failure)}"
            if fault not in self.faults:
                self.faults.append(fault)
                self.tell.problem(f"settling: {fault}")
            return None
