"""A tape answers with what a brute-force filter of all records gives, whatever keeps the records.

Over kinds, granularities, arrival delays and look-backs; in memory, in the database, and cached from it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slots.market import MarketRecord, Series
from slots.tape import FutureError, MemorySource, Tape, TapeSource, boundary
from tests.leak.cases import BACK, END, MS, SERIES, START, WAITS, Plan, plans
from tests.leak.effort import examples
from tests.leak.world import World

pytestmark = pytest.mark.leak
HOUR = timedelta(hours=1)
Keep = Callable[[World, Plan, int], TapeSource]


def in_memory(world: World, plan: Plan, look_back: int) -> TapeSource:
    return MemorySource({plan.series: plan.records()})


def in_the_table(world: World, plan: Plan, look_back: int) -> TapeSource:
    world.empty()
    world.store.tape.add(plan.series, plan.records(), (START - BACK, END), START - BACK)
    return world.store.tape


def cached(world: World, plan: Plan, look_back: int) -> TapeSource:
    in_the_table(world, plan, look_back)
    return world.store.tape.cached([plan.series], START, END, look_back)


@dataclass(frozen=True)
class Question:
    """A moment, what had arrived by then (None: whatever is there), and how far back is asked."""

    now: datetime
    wait: timedelta | None
    count: int
    span: timedelta


grid = st.integers(0, 180).map(lambda minute: START + timedelta(minutes=minute))
offsets = st.sampled_from([timedelta(0), -MS, MS, timedelta(milliseconds=450), timedelta(seconds=-7)])
questions = st.builds(
    Question,
    now=st.builds(lambda moment, offset: max(START, moment + offset), grid, offsets),
    wait=st.none() | st.sampled_from(WAITS),
    count=st.sampled_from([1, 2, 7, 1000]),
    span=st.sampled_from([MS, timedelta(minutes=1), timedelta(minutes=15), 5 * HOUR]),
)


@pytest.mark.parametrize("series", SERIES, ids=lambda one: f"{one.kind}-{one.granularity}")
@pytest.mark.parametrize(
    ("keep", "share"), [(in_memory, 4), (in_the_table, 0.4), (cached, 0.4)], ids=["memory", "table", "cached"]
)
def test_every_answer_is_the_brute_force_one(world: World, series: Series, keep: Keep, share: float) -> None:
    @examples(share)
    @given(plans(series), st.lists(questions, min_size=4, max_size=4))
    def holds(plan: Plan, asked: list[Question]) -> None:
        source, records = keep(world, plan, 3), plan.records()
        for one in asked:
            _check(source, series, records, one)

    holds()


def _check(source: TapeSource, series: Series, records: Sequence[MarketRecord], asked: Question) -> None:
    now, cut_off = asked.now, None if asked.wait is None else asked.now + asked.wait
    tape, which = Tape(source, now, (series,), cut_off), (series.kind, series.granularity)
    known = [one for one in records if one.event_end <= now and (cut_off is None or one.known_at <= cut_off)]
    since = now - asked.span
    inside = [one for one in known if since < one.event_end]
    assert tape.last("BTC", *which, count=asked.count) == known[-asked.count :]
    assert tape.records("BTC", since, now, *which) == inside
    frame = tape.frame("BTC", since, now, *which)
    assert [at.to_pydatetime() for at in frame.index] == [one.ts_event for one in inside]
    assert frame.to_dict("records") == [one.values for one in inside]
    for at in (now, since):
        assert tape.price("BTC", at) == _price(series, known, at)
    for ahead in (MS, timedelta(microseconds=1), HOUR):
        _refuses(tape, since, now + ahead, which)


def _price(series: Series, known: Sequence[MarketRecord], at: datetime) -> MarketRecord | None:
    over = [one for one in known if one.event_end <= at]
    if series.kind == "candle":
        over = [one for one in over if one.event_end == boundary(at, series.step)]
    return over[-1] if over else None


def _refuses(tape: Tape, since: datetime, beyond: datetime, which: tuple[str, str]) -> None:
    for ask in (
        lambda: tape.records("BTC", since, beyond, *which),
        lambda: tape.frame("BTC", since, beyond, *which),
        lambda: tape.price("BTC", beyond),
    ):
        with pytest.raises(FutureError, match="but it is"):
            ask()
