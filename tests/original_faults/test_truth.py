"""Truth: one for all, from the tape, never made up, never from the future."""

import csv
import gzip
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from coordinator_dagster.clock import FixedClock
from coordinator_dagster.competition import Competition
from coordinator_dagster.feeds.base import FeedError
from coordinator_dagster.feeds.binance import BinanceFeed
from coordinator_dagster.feeds.simulated import SimulatedFeed
from tests.live.performing import perform_live
from tests.original_faults import odd_slots
from tests.original_faults.world import (
    HOUR,
    MINUTE,
    ODD_SLOTS,
    START,
    FailingFeed,
    always,
    market,
    opened,
    perform,
    rows,
    settle,
    true_score,
    windows_of,
)

Make = Callable[..., Competition]
MODELS = {"up": always(0.001), "flat": always(0.0), "down": always(-0.001)}
ONE_HOUR = {"competition_end": "2026-01-05T01:00Z"}
TRUTHS = "select performed_at, resolvable_at, status, reason, truth_jsonb as truth from ground_truths order by 1"
SCORES = "select performed_at, model_id, status, score_value from scores order by 1, 2"


@pytest.mark.parametrize("late", [False, True])
def test_truth_is_the_price_at_scoring_time_fetched_once_per_model(competition: Make, late: bool) -> None:
    """Truth is the price at scoring time, fetched once per model: three models, three truths."""
    made = competition(ground_truth_resolver=f"{ODD_SLOTS}:counted_truth")
    feed = FailingFeed(FixedClock(START + 2 * HOUR))
    with opened(made, MODELS, feed=feed, clock=feed.clock) as runtime:
        for window in windows_of(made):
            perform(runtime, [window])
            if not late:
                settle(runtime, [window])
        if late:
            # The market has gone on, and all of it is on the tape: the truths are what they would have been.
            feed.clock.moment = START + 20 * HOUR
            runtime.ingest(made.windows.between(START + 2 * HOUR, START + 20 * HOUR))
            settle(runtime, windows_of(made))
        prices, truths = market(), rows(runtime, TRUTHS)
        assert len(truths) == len(odd_slots.asked) == 120, "one truth a cycle, asked for once"
        assert all(until == t + MINUTE for _, t, until in odd_slots.asked), "bound to resolvable_at"
        for row in truths:
            entry, resolved = prices[row["performed_at"]], prices[row["resolvable_at"]]
            assert (row["truth"]["entry_price"], row["truth"]["resolved_price"]) == (entry, resolved)
            assert row["truth"]["return"] == resolved / entry - 1
        answers = {"up": 0.001, "flat": 0.0, "down": -0.001}
        assert {(row["performed_at"], row["model_id"]): row["score_value"] for row in rows(runtime, SCORES)} == {
            (t, model): true_score(prices, t, MINUTE, value)
            for t in (row["performed_at"] for row in truths)
            for model, value in answers.items()
        }
        settle(runtime, windows_of(made))
    assert len(odd_slots.asked) == 120, "a truth that is known is not asked for again"


def test_feed_down_withholding_candles(competition: Make) -> None:
    """Feed down: truth silently becomes a random walk and is scored. Here it waits, and recovers."""
    made = competition(**ONE_HOUR)
    feed = FailingFeed(FixedClock(START + HOUR + 5 * MINUTE), withheld=[(START + 20 * MINUTE, START + 30 * MINUTE)])
    with opened(made, MODELS, feed=feed, clock=feed.clock) as runtime:
        perform(runtime, windows_of(made))
        feed.down = True
        report = runtime.resolve(windows_of(made))
        # Prices at 00:21 … 00:30 are missing: cycles that begin or end then have no truth.
        assert (report.resolved, report.void, report.pending) == (49, 0, 11)
        assert report.reason is not None and "the venue does not answer" in report.reason
        assert runtime.score(windows_of(made)).scored == 3 * 49
        lacking = {START + minute * MINUTE for minute in range(20, 31)}
        assert not lacking & {row["performed_at"] for row in rows(runtime, TRUTHS) + rows(runtime, SCORES)}

        feed.down, feed.withheld = False, []
        report = runtime.resolve(windows_of(made))
        assert (report.resolved, report.void, report.pending) == (11, 0, 0)
        settle(runtime, windows_of(made))
        prices = market()
        assert {row["performed_at"]: row["truth"]["return"] for row in rows(runtime, TRUTHS)} == {
            t: prices[t + MINUTE] / prices[t] - 1 for t in (START + n * MINUTE for n in range(60))
        }
        assert {row["status"] for row in rows(runtime, SCORES)} == {"SCORED"}


def test_feed_down_for_a_day(competition: Make) -> None:
    """Feed down: truth silently becomes a random walk and is scored. After 24 hours it is VOID for everyone."""
    made = competition(**ONE_HOUR)
    feed = FailingFeed(FixedClock(START + HOUR), withheld=[(START + 20 * MINUTE, START + 30 * MINUTE)])
    lacking = {START + minute * MINUTE for minute in range(20, 31)}
    with opened(made, MODELS, feed=feed, clock=feed.clock) as runtime:
        perform(runtime, windows_of(made))
        runtime.resolve(windows_of(made))
        feed.clock.moment = min(lacking) + MINUTE + timedelta(hours=24) - timedelta(seconds=1)
        assert runtime.resolve(windows_of(made)).pending == 11, "not a second before 24 hours after resolvable_at"
        feed.clock.moment += timedelta(seconds=1)
        report = runtime.resolve(windows_of(made))
        assert (report.void, report.pending) == (1, 10), "each cycle has its own deadline"
        feed.clock.moment = START + 26 * HOUR
        settle(runtime, windows_of(made))
        void = [row for row in rows(runtime, TRUTHS) if row["status"] == "VOID"]
        assert {row["performed_at"] for row in void} == lacking
        assert all(row["truth"] is None and "within 24 hours" in row["reason"] for row in void)
        lost = [row for row in rows(runtime, SCORES) if row["performed_at"] in lacking]
        assert {(row["status"], row["score_value"]) for row in lost} == {("EXEMPT", None)} and len(lost) == 33
        assert rows(runtime, "select distinct due, answered from score_rollups") == [{"due": 49, "answered": 49}]
        assert rows(runtime, "select final from leaderboards") == [{"final": True}]

        feed.withheld, before = [], rows(runtime, TRUTHS)
        runtime.ingest(windows_of(made))
        settle(runtime, windows_of(made))
        assert rows(runtime, TRUTHS) == before, "what comes after the deadline does not settle it"


def test_feed_down_altogether_while_live(competition: Make) -> None:
    """Feed down: truth silently becomes a random walk and is scored. Live: nothing comes, so nothing is settled."""
    made = competition(mode="live", **ONE_HOUR)
    feed = FailingFeed(FixedClock(START + 10 * MINUTE + timedelta(seconds=30)))
    with opened(made, MODELS, feed=feed, clock=feed.clock) as runtime:
        runtime.ingest(windows_of(made))
        perform_live(runtime, feed.clock.moment)
        feed.down, feed.clock.moment = True, START + 15 * MINUTE
        with pytest.raises(FeedError, match="the venue does not answer"):
            runtime.ingest(windows_of(made))
        settle(runtime, windows_of(made))
        pending = "select count(*) as n from cycles where status = 'PERFORMED'"
        assert (rows(runtime, pending), len(rows(runtime, TRUTHS))) == ([{"n": 11}], 10)
        feed.down, feed.clock.moment = False, START + 20 * MINUTE
        settle(runtime, windows_of(made))
        prices, truths = market(), rows(runtime, TRUTHS)
        assert [row["truth"]["return"] for row in truths] == [
            prices[t + MINUTE] / prices[t] - 1 for t in (START + n * MINUTE for n in range(11))
        ]


def test_a_candle_still_open_counts_as_known(competition: Make) -> None:
    """A candle still open counts as known: up to 60 s of future. Inputs every 15 s, between candles too."""
    made = competition(pack="realtime", **ONE_HOUR)
    with opened(made, MODELS) as runtime:
        perform(runtime, windows_of(made))
        settle(runtime, windows_of(made))
        inputs = rows(runtime, "select performed_at, payload_jsonb as given from inference_inputs order by 1")
        assert len(inputs) == 240
        for row in inputs:
            t, given = row["performed_at"].timestamp(), row["given"]
            assert given["candles_1m"][-1]["ts"] + 60 == t - t % 60, "the newest that has closed by t"
            assert given["ticks"][-1]["ts"] <= t
        truths = rows(runtime, TRUTHS)
        assert len(truths) == 237, "the last three resolve in the next hour"
        assert all(row["truth"]["resolved_market_time"] <= row["resolvable_at"].isoformat() for row in truths)


def test_a_candle_still_open_counts_as_known_never_from_a_venue_that_prints_it(
    competition: Make, tmp_path: Path
) -> None:
    """A candle still open counts as known: up to 60 s of future. The venue's row for it never reaches the tape."""
    stand_in_exchange = pytest.importorskip("stand_in_exchange", reason="the stand-in is not importable")
    httpx = pytest.importorskip("httpx")
    made = competition(feed_provider="binance", mode="live", feed_backfill_minutes=120, **ONE_HOUR)
    clock = FixedClock(START + 5 * MINUTE + timedelta(seconds=30))
    _write_tape(tmp_path / "tape")
    with (
        stand_in_exchange.running(tmp_path / "tape", start=clock.moment.isoformat(), speed=0) as url,
        opened(made, MODELS, feed=BinanceFeed(["BTC"], url, clock), clock=clock) as runtime,
    ):
        printed = httpx.get(f"{url}/api/v3/klines", params={"symbol": "BTCUSDT", "interval": "1m"}).json()
        assert printed[-1][0] / 1000 == (START + 5 * MINUTE).timestamp(), "the venue prints the open candle"
        runtime.ingest(windows_of(made))
        perform_live(runtime, clock.moment)
        newest = "select max(ts_event) as at, count(*) as n from market_records"
        assert rows(runtime, newest) == [{"at": START + 4 * MINUTE, "n": 125}]
        assert rows(runtime, "select max(performed_at) as at from inference_inputs") == [{"at": START + 5 * MINUTE}]
        clock.moment = START + 6 * MINUTE
        httpx.post(f"{url}/_control/clock", json={"now": clock.moment.isoformat()}).raise_for_status()
        runtime.ingest(windows_of(made))
        assert rows(runtime, newest) == [{"at": START + 5 * MINUTE, "n": 126}]
        assert rows(runtime, "select count(*) as n from market_restatements") == [{"n": 0}]
        closed = rows(
            runtime, "select values_jsonb->>'close' as close from market_records order by ts_event desc limit 1"
        )
        assert float(closed[0]["close"]) == market()[START + 6 * MINUTE]


def _write_tape(folder: Path) -> None:
    folder.mkdir()
    feed = SimulatedFeed(["BTC"], 1, FixedClock(START + 24 * HOUR))
    with gzip.open(folder / "binance_BTC_candle_1m.csv.gz", "wt", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["ts_event", "open", "high", "low", "close", "volume"])
        for record in feed.fetch(feed.series("BTC", "candle", "1m"), START - 3 * HOUR, START + HOUR):
            lines.writerow([record.ts_event.isoformat(), *record.values.values()])
