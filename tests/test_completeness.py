"""Through when a series is complete, what is done about what is missing, and when it is given up."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from coordinator_dagster.clock import FixedClock
from coordinator_dagster.competition import Competition
from coordinator_dagster.feeds.base import FeedError
from coordinator_dagster.replay import replay
from coordinator_dagster.runtime import Runtime, open_runtime
from slots.market import MarketRecord, Series
from tests.live.performing import perform_live

Make = Callable[..., Competition]
START = datetime(2026, 1, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


@dataclass
class Withholding:
    """A feed that keeps some records back, or is down."""

    feed: Any
    withheld: Callable[[MarketRecord], bool] = lambda record: False
    down: bool = False
    asked: list[tuple[Series, datetime, datetime]] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.feed, name)

    def known_through(self, series: Series) -> datetime:
        return self.feed.known_through(series)

    def fetch(self, series: Series, start: datetime, end: datetime) -> Iterator[MarketRecord]:
        self.asked.append((series, start, end))
        if self.down:
            raise FeedError("the venue is down")
        return (record for record in self.feed.fetch(series, start, end) if not self.withheld(record))


@pytest.fixture
def opened(competition: Make) -> Iterator[Callable[..., Runtime]]:
    """Opens a competition whose feed withholds and whose clock stands still."""
    runtimes = []

    def make(**settings: Any) -> Runtime:
        context = open_runtime(competition(**settings))
        runtime = context.__enter__()
        runtimes.append(context)
        runtime.__dict__.update(feed=Withholding(runtime.feed), clock=FixedClock(at(121)))
        return runtime

    yield make
    for context in runtimes:
        context.__exit__(None, None, None)


def rows(runtime: Runtime, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in runtime.store.database.read(sql)]


def run(runtime: Runtime) -> Any:
    return replay(runtime, runtime.competition.windows.between(START, at(120)), lambda done: None)


def candle_of(minute: int) -> Callable[[MarketRecord], bool]:
    return lambda record: record.ts_event == at(minute)


def test_what_is_missing_waits_is_fetched_again_and_settles(opened: Callable[..., Runtime]) -> None:
    runtime = opened()
    runtime.feed.withheld = candle_of(29)
    assert run(runtime).pending == 2
    assert rows(runtime, "select gap_start, gap_end, state from market_gaps") == [
        (at(29), at(30), "healing")  # it was asked for again
    ]
    assert [one[0] for one in rows(runtime, "select performed_at from cycles c where not exists (select from "
            "ground_truths g where g.performed_at = c.performed_at) order by 1")] == [at(29), at(30)]  # fmt: skip
    runtime.feed.withheld, runtime.feed.asked = (lambda record: False), []
    report = runtime.resolve(runtime.competition.windows.between(START, at(120)))
    assert (report.resolved, report.pending) == (2, 0)
    just_after = timedelta(microseconds=1)
    asked = [(start, end) for _, start, end in runtime.feed.asked]
    assert asked == [(at(28) + just_after, at(29) + just_after)], "only the hole is asked for"
    assert rows(runtime, "select state from market_gaps") == [("CLOSED",)]


def test_a_day_later_it_is_void_and_late_data_change_nothing(opened: Callable[..., Runtime]) -> None:
    runtime = opened()
    runtime.feed.withheld = candle_of(29)
    run(runtime)
    windows = runtime.competition.windows.between(START, at(120))
    runtime.clock.moment = at(31) + 24 * HOUR - timedelta(seconds=61)
    assert runtime.resolve(windows).pending == 2
    runtime.clock.moment = at(31) + 24 * HOUR
    report = runtime.resolve(windows)
    assert (report.void, report.pending) == (2, 0)
    reasons = rows(runtime, "select reason, given_up from ground_truths where status = 'VOID' order by 1")
    price = f"simulated/BTC/candle/1m has no price at {at(30).isoformat()}; it did not come within 24 hours"
    assert reasons == [(price, True), (price, True)]
    assert rows(runtime, "select state, reason from market_gaps") == [
        ("GIVEN_UP", "the venue did not serve it within a day; last: the venue has not served these candles yet")
    ]
    runtime.feed.withheld = lambda record: False
    runtime.ingest(windows)
    assert rows(runtime, "select state from market_gaps") == [("CLOSED",)]
    assert runtime.resolve(windows).resolved == 0
    assert len(rows(runtime, "select from ground_truths where status = 'VOID'")) == 2


def test_what_was_given_up_stays_so_in_a_new_version(
    opened: Callable[..., Runtime], monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = opened()
    runtime.feed.withheld = candle_of(29)
    runtime.clock.moment = at(120) + 24 * HOUR
    run(runtime)
    runtime.feed.withheld = lambda record: False
    runtime.ingest(runtime.competition.windows.between(START, at(120)))
    settings = runtime.competition.settings.model_copy(update={"slot_version": "2"})
    object.__setattr__(runtime.competition, "settings", settings)
    report = runtime.resolve(runtime.competition.windows.between(START, at(120)))
    assert (report.resolved, report.void) == (118, 2)


def test_a_feed_that_is_down_leaves_cycles_pending_and_says_so(opened: Callable[..., Runtime]) -> None:
    runtime = opened()
    runtime.feed.withheld = candle_of(29)
    run(runtime)
    runtime.feed.down = True
    report = runtime.resolve(runtime.competition.windows.between(START, at(120)))
    assert (report.pending, report.reason) == (2, "missing data could not be fetched again: the venue is down")


def test_a_live_competition_fetches_up_to_the_truth_and_gives_up_after_a_day(opened: Callable[..., Runtime]) -> None:
    runtime = opened(mode="live")
    windows = runtime.competition.windows.between(START, at(120))
    runtime.__dict__["clock"] = FixedClock(at(1))
    runtime.ingest(windows[:1])
    perform_live(runtime, at(59))
    runtime.clock.moment = at(121)
    assert rows(runtime, "select min(known_at), max(known_at) from market_records where event_end > '2026-01-05'") == [
        (at(1), at(1))
    ], "known when it was here, and nothing that is to come"
    assert rows(runtime, "select fate, count from market_fates") == [("future", 59)]
    last = rows(runtime, "select max(performed_at) from cycles where status = 'PERFORMED'")[0][0]
    assert last == at(59)
    assert runtime.resolve(windows).pending == 0, "the hour after is fetched for the last truth"


def test_silence_is_quiet_only_after_three_agreeing_answers_over_ten_minutes(opened: Callable[..., Runtime]) -> None:
    runtime = opened(pack="realtime")
    windows = runtime.competition.windows.between(START, at(120))

    def silent(record: MarketRecord) -> bool:
        return record.series.kind == "tick" and at(60) < record.ts_event <= at(120)

    def ticks_complete_through() -> datetime:
        (series,) = [one for one in runtime.store.tape.series() if one.kind == "tick"]
        return runtime.store.tape.complete_through([series])

    runtime.feed.withheld = silent
    runtime.ingest(windows[:1])
    for minute, through, state in ((0, 60, "healing"), (4, 60, "healing"), (9, 60, "healing"), (10, 120, "QUIET")):
        runtime.clock.moment = at(121 + minute)
        runtime.ingest(windows[1:])
        assert ticks_complete_through() == at(through)
        assert rows(runtime, "select state from market_gaps where kind = 'tick'") == [(state,)]
    report = replay(runtime, windows, lambda done: None)
    assert report.pending == 3, "quiet is not stale: the last price stands; only the next hour's tape is missing"
    runtime.feed.withheld = lambda record: False
    before = rows(runtime, "select count(*) from market_records where kind = 'tick'")
    runtime.ingest(windows[1:])
    assert rows(runtime, "select state from market_gaps where kind = 'tick'") == [("CLOSED",)]
    assert rows(runtime, "select count(*) from market_records where kind = 'tick'") > before, "they still enter as new"
