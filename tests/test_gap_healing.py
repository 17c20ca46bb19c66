"""Gaps of the tape: each is a row while it stands, is asked for again with growing pauses, and ends."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from coordinator_dagster.feeds.base import FeedError, Heard
from coordinator_dagster.runtime import Runtime
from coordinator_dagster.stages.ingest import give_up, take_in
from slots.market import MarketRecord, Series
from tests.test_completeness import START, Withholding, at, opened, rows  # noqa: F401

TICKS = Series("simulated", "BTC", "tick", "1s")
CANDLES = Series("simulated", "BTC", "candle", "1m")
SECOND = timedelta(seconds=1)
GAP = "select gap_start, gap_end, state, attempts, reason from market_gaps where kind = 'tick' and "
GAPS = GAP + "gap_start > '2026-01-04T22:00Z' order by 1"
BEFORE_FIRST = GAP + "gap_start = '2026-01-04T22:00Z'"


class Numbered(Withholding):
    """The venue numbers its trades, one a second; it stops answering at `fails_at`."""

    fails_at: datetime | None = None

    def fetch(self, series: Series, start: datetime, end: datetime) -> Iterator[MarketRecord]:
        for record in super().fetch(series, start, end):
            if self.fails_at and record.ts_event >= self.fails_at:
                raise FeedError("the venue is down")
            number = {"trade_id": int(record.ts_event.timestamp()), "trades": 1}
            yield replace(record, meta=number if series.kind == "tick" else {})


@pytest.fixture
def runtime(opened: Callable[..., Runtime]) -> Runtime:  # noqa: F811
    runtime = opened(pack="realtime", feed_backfill_minutes=120)
    runtime.__dict__["feed"] = Numbered(runtime.feed.feed)
    return runtime


def windows(runtime: Runtime) -> Any:
    return runtime.competition.windows.between(START, at(120))


def complete_through(runtime: Runtime, series: Series = TICKS) -> datetime | None:
    return runtime.store.tape.complete_through([series])


def test_a_range_that_was_not_answered_is_a_gap_until_it_is(runtime: Runtime) -> None:
    runtime.feed.fails_at = at(90)
    with pytest.raises(FeedError):
        runtime.ingest(windows(runtime))
    assert complete_through(runtime) == at(90) - SECOND, "what came before is kept"
    down = (at(90) - SECOND, at(120), "open", 0, "the venue is down")
    assert rows(runtime, GAPS) == [down]
    runtime.heal()
    assert rows(runtime, GAPS) == [down], "its turn has not come"
    pauses = []
    for attempt in range(1, 12):
        before = runtime.clock.moment
        while not runtime.store.gaps.due([TICKS], runtime.clock.now(), 1):
            runtime.clock.moment += SECOND
        pauses.append((runtime.clock.moment - before).total_seconds())
        with pytest.raises(FeedError):
            runtime.heal()
        assert rows(runtime, GAPS)[0][2:4] == ("healing", attempt)
    assert pauses == [10, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600]
    runtime.clock.moment += timedelta(hours=1)
    runtime.feed.fails_at = None
    assert runtime.heal().new == 30 * 60 + 1
    assert rows(runtime, GAPS) == [(*down[:2], "CLOSED", 11, "trades came")]
    assert complete_through(runtime) == at(120)


def test_a_backfill_that_fails_goes_on_where_it_was(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coordinator_dagster.stages.ingest.BATCH", 1000)
    reached = [at(-120)]
    for minute in (0, 60):
        runtime.feed.fails_at = at(minute)
        runtime.feed.asked.clear()
        with pytest.raises(FeedError):
            runtime.ingest(windows(runtime), refetch=False)
        asked = [start for _, start, end in runtime.feed.asked if end > at(-119)]
        assert asked == [reached[-1] + timedelta(microseconds=1)], "only what has not been answered"
        reached.append(at(minute) - SECOND)
        assert rows(runtime, GAPS)[-1] == (reached[-1], at(120), "open", 0, "the venue is down")
        assert len(rows(runtime, GAPS)) == 1
    runtime.feed.fails_at = None
    runtime.ingest(windows(runtime), refetch=False)
    assert rows(runtime, "select count(*) from market_records where kind = 'tick'") == [(4 * 3600,)]
    assert {gap[2] for gap in rows(runtime, GAPS)} == {"CLOSED"}


def test_missing_trade_numbers_are_a_gap_until_data_come_or_it_is_given_up(runtime: Runtime) -> None:
    def withheld(first: float, last: float) -> Callable[[MarketRecord], bool]:
        return lambda record: record.series.kind == "tick" and at(first) < record.ts_event < at(last)

    runtime.feed.withheld = lambda record: withheld(30, 31)(record) or withheld(70, 71)(record)
    runtime.ingest(windows(runtime))
    assert complete_through(runtime) == at(120)
    numbers = [(int(at(minute).timestamp()) + 1, int(at(minute + 1).timestamp()) - 1) for minute in (30, 70)]
    missing = [
        (at(minute), at(minute + 1) - timedelta(microseconds=1), "open", 0, f"trades {first} to {last} are missing")
        for minute, (first, last) in zip((30, 70), numbers, strict=True)
    ]
    assert rows(runtime, GAPS) == missing
    runtime.feed.withheld = withheld(70, 71)
    runtime.clock.moment += 10 * SECOND
    assert runtime.heal().new == 59
    assert [gap[2] for gap in rows(runtime, GAPS)] == ["CLOSED", "healing"]
    for _ in range(4):
        runtime.clock.moment += timedelta(hours=1)
        runtime.heal()
    assert rows(runtime, GAPS)[1][2:] == ("healing", 5, missing[1][4]), "its numbers prove that there were some"
    give_up(runtime.competition, runtime.store, at(71))
    assert [gap[2] for gap in rows(runtime, GAPS)] == ["CLOSED", "GIVEN_UP"]
    assert dict(rows(runtime, "select fate, count from market_fates where kind = 'tick'"))["late"] == 59


def test_numbers_are_counted_anew_where_only_a_part_of_their_gap_is_answered(runtime: Runtime) -> None:
    """As where it reaches over the end of a window, or a question came from before it grew."""
    runtime.feed.withheld = lambda record: record.series.kind == "tick" and at(30) < record.ts_event < at(31)
    runtime.ingest(windows(runtime))
    (missing,) = rows(runtime, GAPS)
    answers = [runtime.store.gaps.quiet(TICKS, (at(30), at(30.5)), at(minute)) for minute in (121, 130, 140)]
    assert answers == [None, None, None], "the numbers are stronger than empty answers"
    assert rows(runtime, GAPS) == [missing]
    trades = {at(30) + n * SECOND for n in range(1, 60)}
    records = [one for one in runtime.feed.fetch(TICKS, at(29), at(32)) if one.ts_event not in trades]
    runtime.feed.withheld = lambda record: False
    came = [one for one in runtime.feed.fetch(TICKS, at(30), at(31)) if one.ts_event in trades]
    assert len(came) == 59 and len(records) == 121
    take_in(runtime.competition, runtime.store, runtime.feed, runtime.clock, Heard(TICKS, at(30), at(30.5), came[:20]))
    assert rows(runtime, GAPS)[-1][:2] == (at(30) + 20 * SECOND, missing[1]), "of the others the numbers tell"
    take_in(runtime.competition, runtime.store, runtime.feed, runtime.clock, Heard(TICKS, at(30), at(30.5), came))
    assert [gap for gap in rows(runtime, GAPS) if gap[2] != "CLOSED"] == []


def test_numbers_are_stronger_than_a_silence_that_was_believed(runtime: Runtime) -> None:
    runtime.feed.withheld = lambda record: record.series.kind == "tick" and at(30) < record.ts_event < at(31)
    came = [one for one in runtime.feed.fetch(TICKS, at(29), at(32)) if one.series == TICKS]
    parts = [(at(29), at(30)), (at(31) - SECOND, at(32))]
    before, after = ([one for one in came if start < one.ts_event <= end] for start, end in parts)
    everything = (runtime.competition, runtime.store, runtime.feed, runtime.clock)
    take_in(*everything, Heard(TICKS, *parts[0], before))
    assert [runtime.store.gaps.quiet(TICKS, (at(30), at(31) - SECOND), at(minute)) for minute in (31, 36, 41)][2]
    assert rows(runtime, GAPS)[-1][2] == "QUIET"
    take_in(*everything, Heard(TICKS, *parts[1], after))
    assert rows(runtime, GAPS)[-1][2] == "open"
    assert rows(runtime, GAPS)[-1][4].endswith("are missing")


def test_an_empty_answer_to_a_part_leaves_the_rest_of_a_gap(runtime: Runtime) -> None:
    runtime.store.gaps.failed(TICKS, (at(30), at(40)), runtime.clock.now(), "the venue is down")
    assert runtime.store.gaps.quiet(TICKS, (at(30), at(35)), runtime.clock.now()) is None
    assert [(*gap[:3], gap[4]) for gap in rows(runtime, GAPS)] == [
        (at(30), at(35), "open", "the venue is down"),
        (at(35), at(40), "open", "the venue is down"),
    ]


def test_an_unanswered_range_is_passed_over_after_a_day(runtime: Runtime) -> None:
    runtime.feed.fails_at = at(-200)
    for series in (TICKS, CANDLES):
        pack = runtime.competition.pack
        only = [one for one in pack.series if one.kind == series.kind]
        object.__setattr__(runtime.competition, "pack", pack.model_copy(update={"series": only}))
        with pytest.raises(FeedError):
            runtime.ingest(windows(runtime))
        object.__setattr__(runtime.competition, "pack", pack)
    runtime.clock.moment = at(120) + timedelta(hours=24)
    gaps = "select gap_start, gap_end, state, reason from market_gaps"
    assert rows(runtime, gaps) == [(at(-120), at(120), "open", "the venue is down")] * 2
    give_up(runtime.competition, runtime.store, runtime.clock.moment - timedelta(hours=24))
    reason = "the venue did not serve it within a day; last: the venue is down"
    assert rows(runtime, gaps) == [(at(-120), at(120), "GIVEN_UP", reason)] * 2
    assert {complete_through(runtime, one) for one in (TICKS, CANDLES)} == {at(120)}, "the tape goes on behind it"


def test_a_silent_market_on_a_live_connection_ends_what_a_failure_had_opened(runtime: Runtime) -> None:
    runtime.ingest(windows(runtime)[:1])
    runtime.store.gaps.failed(TICKS, (at(60), at(61)), runtime.clock.now(), "the venue is down")
    take_in(runtime.competition, runtime.store, runtime.feed, runtime.clock, Heard(TICKS, at(60), at(60.5), []))
    assert rows(runtime, GAPS)[-1][:3] == (at(60.5), at(61), "open")
    take_in(runtime.competition, runtime.store, runtime.feed, runtime.clock, Heard(TICKS, at(60.5), at(61), []))
    assert {gap[2] for gap in rows(runtime, GAPS)} == {"CLOSED"}


def test_nobody_knows_what_came_before_the_first_trade_until_the_venue_has_said_it(runtime: Runtime) -> None:
    runtime.feed.withheld = lambda record: record.series.kind == "tick" and record.ts_event < at(-100)
    runtime.ingest(windows(runtime))
    unsure = (at(-120), at(-100) - timedelta(microseconds=1), "open", 0)
    assert rows(runtime, BEFORE_FIRST) == [(*unsure, "the venue has not shown yet that this is its first trade")]
    runtime.feed.withheld = lambda record: record.series.kind == "tick" and record.ts_event < at(-110)
    runtime.clock.moment += 10 * SECOND
    assert runtime.heal().new == 600
    assert rows(runtime, BEFORE_FIRST)[0][1:3] == (at(-110) - timedelta(microseconds=1), "healing")
    while rows(runtime, BEFORE_FIRST)[0][2] != "QUIET":
        runtime.clock.moment += 10 * SECOND
        runtime.heal()
    assert runtime.clock.moment >= at(131)


def test_every_series_has_a_tape_of_its_own(opened: Callable[..., Runtime], runtime: Runtime) -> None:  # noqa: F811
    """Several assets, kinds and granularities at once."""
    pack = runtime.competition.pack
    wanted = [("BTC", "tick", "1s"), ("BTC", "candle", "1m"), ("ETH", "candle", "1m"), ("ETH", "candle", "5m")]
    series = [pack.series[0].model_copy(update=dict(zip(("asset", "kind", "granularity"), one, strict=True)))
              for one in wanted]  # fmt: skip
    object.__setattr__(runtime.competition, "pack", pack.model_copy(update={"series": series}))
    runtime.__dict__["feed"] = Numbered(type(runtime.feed.feed)(["BTC", "ETH"], 1, runtime.clock))
    runtime.feed.withheld = lambda record: record.series.asset == "ETH" and record.ts_event == at(30)
    runtime.ingest(windows(runtime))
    counts = "select asset || kind || granularity, count(*) from market_records group by 1 order by 1"
    assert rows(runtime, counts) == [
        ("BTCcandle1m", 240),
        ("BTCtick1s", 14400),
        ("ETHcandle1m", 239),
        ("ETHcandle5m", 47),
    ]
    assert rows(
        runtime, "select asset, granularity, gap_end - gap_start from market_gaps where kind = 'candle' order by 2"
    ) == [
        ("ETH", "1m", 60 * SECOND),
        ("ETH", "5m", 300 * SECOND),
    ]
    assert {complete_through(runtime, Series("simulated", *one)) for one in wanted} == {at(120)}  # type: ignore[arg-type]
