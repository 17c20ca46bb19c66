"""Competitions over made-up tapes, drawn by hypothesis, and changes to what is not knowable at a moment.

Records are written down as patterns that repeat along the tape, so that a failing example can be read.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from hypothesis import strategies as st

from slots.market import MarketRecord, Series, history_record
from slots.tape import boundary

START = datetime(2026, 1, 5, tzinfo=UTC)
END = START + timedelta(hours=3)
BACK = timedelta(minutes=90)
MS = timedelta(milliseconds=1)
Records = Mapping[Series, list[MarketRecord]]

SERIES = [
    Series("made", "BTC", "tick", "1s"),
    Series("made", "BTC", "candle", "1m"),
    Series("made", "BTC", "candle", "5m"),
    Series("made", "BTC", "candle", "15m"),
]
WAITS = [timedelta(0), timedelta(seconds=1), timedelta(seconds=30)]
# How long after its end a record arrives: at once, just within a wait, just past it, some instants too late.
DELAYS = [
    timedelta(0),
    timedelta(seconds=1),
    timedelta(seconds=1) + MS,
    timedelta(seconds=30),
    timedelta(seconds=30) + MS,
    timedelta(minutes=6),
    timedelta(minutes=50),
]
# Where ticks lie around every fifth minute, on which most instants are.
TICK_OFFSETS = [
    timedelta(0),
    -MS,
    MS,
    timedelta(milliseconds=900),
    timedelta(seconds=-61),
    timedelta(seconds=45),
    timedelta(seconds=150),
]
GRID = timedelta(minutes=5)
PATTERN = 11


@dataclass(frozen=True)
class Plan:
    """A series on the made-up tape: which records it lacks, and how late each comes; both repeat."""

    series: Series
    there: tuple[bool, ...]
    delays: tuple[timedelta, ...]
    offsets: tuple[timedelta, ...]

    def records(self) -> list[MarketRecord]:
        """Those that are over after `START - BACK`, where the competition's tape begins."""
        return [
            made(self.series, at, self.delays[place % len(self.delays)], place)
            for place, at in enumerate(self.times())
            if self.there[place % len(self.there)] and at + self.series.step > START - BACK
        ]

    def times(self) -> list[datetime]:
        """Every `ts_event` that a record could have."""
        if self.series.kind == "candle":
            return list(_every(self.series.step))
        return sorted(at + offset for at in _every(GRID) for offset in self.offsets)


def _every(step: timedelta) -> Iterator[datetime]:
    moment = START - BACK
    while moment < END:
        yield moment
        moment += step


def made(series: Series, at: datetime, delay: timedelta, number: int) -> MarketRecord:
    """A record with values of its own, told by its number."""
    price = 100 + (number * 7919 % 1009) / 10
    values = {"price": price}
    if series.kind == "candle":
        values = {"open": price - 1, "high": price + 2, "low": price - 2, "close": price, "volume": float(number % 5)}
    return history_record(series, at, values, delay)


@dataclass(frozen=True)
class Case:
    """A competition, its tape, and the instant `t` up to which nothing may change."""

    plans: tuple[Plan, ...]
    configs: tuple[dict[str, Any], ...]
    candles_window: int
    input_wait: timedelta
    look_back_hours: int
    aggregator: str
    t: datetime

    @cached_property
    def records(self) -> Records:
        return {plan.series: plan.records() for plan in self.plans}

    @property
    def cut_off(self) -> datetime:
        return self.t + self.input_wait

    def knowable(self, series: Series, at: datetime) -> list[MarketRecord]:
        """By the definition: over by `at`, and there when the instant `at` looked."""
        cut_off = at + self.input_wait
        return [one for one in self.records[series] if one.event_end <= at and one.known_at <= cut_off]

    def is_late(self, record: MarketRecord) -> bool:
        """Over by `t`, but not there at the cut-off."""
        return record.event_end <= self.t and record.known_at > self.cut_off


@st.composite
def plans(draw: st.DrawFn, series: Series) -> Plan:
    missing = draw(st.sets(st.integers(0, PATTERN - 1), max_size=2))
    delays = draw(st.tuples(*[st.sampled_from(DELAYS)] * 5))
    offsets = draw(st.permutations(TICK_OFFSETS))[:3]
    return Plan(series, tuple(place not in missing for place in range(PATTERN)), delays, tuple(offsets))


@st.composite
def configs(draw: st.DrawFn, number: int, listed: list[Series]) -> dict[str, Any]:
    """A config that `validate` takes: none of its candles is longer than its horizon."""
    own = draw(st.none() | st.permutations(listed).map(lambda some: some[:1]))
    longest = max(one.step for one in own or listed).total_seconds()
    horizon = draw(st.sampled_from([each for each in (60, 90, 300, 900, 3600) if each >= longest]))
    found: dict[str, Any] = {
        "id": f"config-{number}",
        "scope_key": f"scope-{draw(st.integers(0, 1))}",
        "scope_template": {"asset": "BTC", "horizon_seconds": horizon, "step_seconds": 60},
        "schedule": {"every_seconds": draw(st.sampled_from([300, 420, 900, 1200]))},
    }
    return found if own is None else found | {"series": [spec(one) for one in own]}


def spec(series: Series) -> dict[str, str]:
    """The series as a pack lists it."""
    return {"asset": series.asset, "kind": series.kind, "granularity": series.granularity}


@st.composite
def cases(draw: st.DrawFn) -> Case:
    listed = draw(st.permutations(SERIES))[: draw(st.integers(1, 3))]
    own = tuple(draw(configs(number, listed)) for number in range(draw(st.integers(1, 2))))
    every = timedelta(seconds=draw(st.sampled_from([one["schedule"]["every_seconds"] for one in own])))
    last = boundary(END - MS, every)
    return Case(
        plans=tuple(draw(plans(one)) for one in listed),
        configs=own,
        candles_window=draw(st.sampled_from([4, 1, 2, 20])),
        input_wait=draw(st.sampled_from(WAITS)),
        look_back_hours=draw(st.sampled_from([1, 168])),
        aggregator=draw(st.sampled_from(["slots.defaults:aggregate_model_scores", "tests.leak.watching:aggregate"])),
        t=last - draw(st.integers(0, (last - START) // every)) * every,
    )


def dense_case(series: Series, t: datetime = END) -> Case:
    """A competition over one series in which every record is there, in time, and around every instant."""
    config = {
        "id": "dense",
        "scope_key": "scope",
        "scope_template": {"asset": "BTC", "horizon_seconds": 900, "step_seconds": 60},
        "schedule": {"every_seconds": 600},
    }
    plan = Plan(series, (True,), (timedelta(0),), (timedelta(0), MS))
    return Case((plan,), (config,), 10, timedelta(seconds=1), 168, "tests.leak.watching:aggregate", t)


@dataclass(frozen=True)
class Change:
    """What is done to the records that may not matter: `actions` repeat along them; some are put in.

    `ends` cuts the tape at `t` instead of letting it go on.
    """

    actions: tuple[str, ...]
    inserts: bool
    ends: bool = False

    def of_future(self, case: Case) -> Records:
        """The tape with every event after `t` changed, and the same up to `t`."""
        changed = {}
        for plan in case.plans:
            kept = [one for one in plan.records() if one.event_end <= case.t]
            future = [one for one in plan.records() if one.event_end > case.t]
            spare = self._spare(plan, case, (MS, 2 * MS, timedelta(seconds=1)))
            new = [made(plan.series, at, timedelta(0), 500) for at in spare if at + plan.series.step > case.t]
            changed[plan.series] = _in_order([*kept, *self._act(future), *new])
        return changed

    def of_late(self, case: Case) -> Records:
        """The same, and what was over by `t` but had not arrived by the cut-off changed too."""
        future, changed = self.of_future(case), {}
        for plan in case.plans:
            over = [one for one in plan.records() if one.event_end <= case.t]
            in_time = [one for one in over if not case.is_late(one)]
            late = self._act([one for one in over if case.is_late(one)], case.cut_off)
            spare = self._spare(plan, case, (-3 * MS, -timedelta(seconds=7)))
            new = [_arriving(made(plan.series, at, timedelta(0), 500), case.cut_off + MS) for at in spare]
            rest = [one for one in future[plan.series] if one.event_end > case.t]
            changed[plan.series] = _in_order([*in_time, *late, *(one for one in new if case.is_late(one)), *rest])
        return changed

    def _act(self, records: list[MarketRecord], cut_off: datetime | None = None) -> Iterator[MarketRecord]:
        """The records as they become; where they must stay late, `cut_off` says past what."""
        for place, one in enumerate(records):
            action = self.actions[place % len(self.actions)]
            if action == "corrupt":
                yield replace(one, values={name: value * 3 + 1 for name, value in one.values.items()})
            elif action == "arrive":
                # An event that is not over is not knowable, whatever is said of its arrival.
                yield _arriving(one, cut_off + 2 * MS if cut_off else one.ts_event - timedelta(hours=1))
            elif action == "keep":
                yield one

    def _spare(self, plan: Plan, case: Case, around: tuple[timedelta, ...]) -> list[datetime]:
        """Times where the series has no record and could have one; ticks around `t`."""
        if not self.inserts:
            return []
        taken = {one.ts_event for one in plan.records()}
        times = plan.times() if plan.series.kind == "candle" else [case.t + offset for offset in around]
        return [at for at in times if at not in taken]


def _arriving(record: MarketRecord, known_at: datetime) -> MarketRecord:
    return replace(record, known_at=known_at)


def _in_order(records: list[MarketRecord]) -> list[MarketRecord]:
    return sorted(records, key=lambda one: one.ts_event)


changes = st.builds(
    Change,
    actions=st.lists(st.sampled_from(["corrupt", "delete", "arrive", "keep"]), min_size=1, max_size=5)
    .map(tuple)
    .filter(lambda actions: set(actions) != {"keep"}),
    inserts=st.booleans(),
    ends=st.booleans(),
)
