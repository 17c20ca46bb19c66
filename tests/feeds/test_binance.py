"""Binance against the stand-in exchange: the same records as the tape it plays, and only final ones."""

import gzip
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from coordinator_dagster.clock import FixedClock
from coordinator_dagster.errors import UserError
from coordinator_dagster.feeds.base import FeedError
from coordinator_dagster.feeds.binance import BinanceFeed
from slots.market import MarketRecord, utc
from tests.feeds.stand_in import CANDLES, CLOSED, NOW, T0, TICKS, control, feed, recorded, requests_seen

pytestmark = pytest.mark.venue
real_tape = pytest.mark.skipif(
    "COORDINATOR_TEST_TAPE" not in os.environ, reason="COORDINATOR_TEST_TAPE names no folder"
)


def without_id(record: MarketRecord) -> MarketRecord:
    return replace(record, meta={name: record.meta[name] for name in ("quantity", "trades")})


def test_a_day_equals_the_tape_over_several_pages(url: str, tape: Path) -> None:
    venue = feed(url)
    day = list(venue.fetch(CANDLES, T0, T0 + timedelta(days=1)))
    assert day == recorded(tape, T0, T0 + timedelta(days=1))
    assert len(day) == 1440
    assert requests_seen(url, "klines") == 2
    assert venue.transport == "python-binance"


@real_tape
def test_a_real_day_with_an_outage_equals_the_real_tape(tmp_path: Path) -> None:
    source = Path(os.environ["COORDINATOR_TEST_TAPE"]) / "binance_BTC_candle_1m.csv.gz"
    with gzip.open(source, "rt") as whole, gzip.open(tmp_path / source.name, "wt") as part:
        part.writelines(line for line in whole if line.startswith(("ts_event", "2023-03-24", "2023-03-25T00")))
    start, end = utc("2023-03-24T00:00Z"), utc("2023-03-25T00:00Z")
    stand_in_exchange = pytest.importorskip("stand_in_exchange", reason="the stand-in is not importable")
    with stand_in_exchange.running(tmp_path, start="2023-03-25T00:30:00Z", speed=0) as url:
        day = list(feed(url, utc("2023-03-25T00:30:00Z")).fetch(CANDLES, start, end))
    assert day == recorded(tmp_path, start, end)
    assert len(day) == 1360  # no bar from 12:40 to 13:59


@real_tape
def test_real_trades_equal_the_real_tape(tmp_path: Path) -> None:
    source = Path(os.environ["COORDINATOR_TEST_TAPE"]) / "binance_BTC_tick.csv.gz"
    (tmp_path / source.name).symlink_to(source)
    now = utc("2026-02-16T04:04:58.500Z")
    stand_in_exchange = pytest.importorskip("stand_in_exchange", reason="the stand-in is not importable")
    with stand_in_exchange.running(tmp_path, start=now.isoformat(), speed=0) as url:
        venue = feed(url, now)
        found = list(venue.fetch(TICKS, utc("2026-02-16T01:00Z"), utc("2026-02-16T05:00Z")))
        through = venue.known_through(TICKS)
    assert through == now - timedelta(seconds=0.25)
    expected = recorded(tmp_path, T0, through + timedelta(microseconds=1), TICKS)
    assert [without_id(record) for record in found] == expected
    assert sum(record.meta["trades"] for record in found) > 10_000  # more than ten pages
    assert [record.meta["trade_id"] for record in found[:2]] == [4, 5]  # of five trades in one millisecond


def test_an_open_candle_is_never_given(url: str, tape: Path) -> None:
    shown = httpx.get(f"{url}/api/v3/klines", params={"symbol": "BTCUSDT", "interval": "1m"}).json()
    assert shown[-1][0] == CLOSED.timestamp() * 1000  # the venue does print it
    venue, late = feed(url), NOW + timedelta(hours=1)
    assert venue.known_through(CANDLES) == CLOSED
    found = list(venue.fetch(CANDLES, NOW - timedelta(minutes=10), late))
    assert found == recorded(tape, NOW - timedelta(minutes=10), CLOSED)
    hours = list(venue.fetch(venue.series("BTC", "candle", "1h"), T0, late))
    assert (len(hours), hours[-1].event_end) == (25, T0 + timedelta(hours=25))
    # whichever clock is ahead, ours by a minute or the venue's, the earlier one counts
    assert list(feed(url, NOW + timedelta(minutes=1)).fetch(CANDLES, NOW - timedelta(minutes=10), late)) == found
    control(url, "faults", clock_skew_s=60)
    assert list(feed(url).fetch(CANDLES, NOW - timedelta(minutes=10), late)) == found


@pytest.mark.parametrize("value", ["nan", "negative", "zero"])
def test_a_price_that_is_none_is_refused_and_asked_for_again(url: str, value: str) -> None:
    venue, start = feed(url, patience=1), NOW - timedelta(minutes=10)
    venue.known_through(CANDLES)
    fate = "non_finite" if value == "nan" else "not_positive"
    for series, name in ((CANDLES, "close"), (TICKS, "price")):
        clean = list(venue.fetch(series, start, NOW))
        control(url, "faults", bad_price={"value": value})
        assert list(venue.fetch(series, start, NOW)) == clean
        assert [(met.series, met.fate, met.count) for met in venue.fates.take()] == [(series, fate, 1)]
        control(url, "faults", bad_price={"value": value, "times": None})
        with pytest.raises(FeedError, match=rf"{series} at 2026-01-02T.*{name}=.* is not a positive finite"):
            list(venue.fetch(series, start, NOW))
        assert venue.fates.take()[0].count > 1
        control(url, "faults", clear=True)


def test_repeated_and_disordered_rows_come_out_once_and_in_order(url: str, tape: Path) -> None:
    venue, start = feed(url), NOW - timedelta(minutes=10)
    venue.known_through(CANDLES)
    clean = {series: list(venue.fetch(series, start, NOW)) for series in (CANDLES, TICKS)}
    for series, fault, fate in (
        (series, fault, fate)
        for series in clean
        for fault, fate in (("duplicates", "duplicate"), ("out_of_order", "disordered"))
    ):
        control(url, "faults", **{fault: 1})
        assert list(venue.fetch(series, start, NOW)) == clean[series]
        assert fate in [met.fate for met in venue.fates.take()]


def test_one_empty_answer_does_not_end_the_trades(url: str) -> None:
    venue, start = feed(url), NOW - timedelta(hours=5)
    clean = list(venue.fetch(TICKS, start, NOW))  # two pages and a short one
    asked = venue._rest._transport
    for page in (2, 3, 4):
        answers = iter(range(1, 100))

        def empty_once(endpoint: str, params: dict[str, object], page: int = page) -> object:
            answer, headers = asked(endpoint, params)
            return ([] if endpoint == "aggTrades" and next(answers) == page else answer), headers  # noqa: B023

        venue._rest._transport = empty_once
        assert list(venue.fetch(TICKS, start, NOW)) == clean


def test_trades_are_found_beyond_a_quiet_hour_and_split_anywhere(url: str) -> None:
    control(url, "faults", gap={"from": "2026-01-01T02:00:00Z", "to": "2026-01-01T05:30:00Z"})
    venue, end = feed(url), T0 + timedelta(hours=7)
    whole = list(venue.fetch(TICKS, T0 + timedelta(hours=2), end))
    assert (len(whole), whole[0].ts_event) == (90 * 4, T0 + timedelta(hours=5, minutes=30))
    # four questions by time, none wider than the hour that the venue once allowed, then one by id
    assert requests_seen(url, "aggTrades") == 5
    for split in (timedelta(hours=3), timedelta(hours=6, seconds=20), timedelta(hours=6, microseconds=1)):
        parts = [(T0 + timedelta(hours=2), T0 + split), (T0 + split, end)]
        assert [record for part in parts for record in venue.fetch(TICKS, *part)] == whole


def test_a_trade_within_the_flush_delay_is_not_final(url: str) -> None:
    for now, seen in (("00:20.249", False), ("00:20.250", True)):
        moment = utc(f"2026-01-02T01:{now}Z")
        control(url, "clock", now=moment.isoformat())
        (*_, last) = feed(url, moment).fetch(TICKS, moment - timedelta(minutes=1), moment)
        assert (last.ts_event == utc("2026-01-02T01:00:20Z")) == seen
    patient = BinanceFeed(["BTC"], url, FixedClock(moment), flush=timedelta(seconds=1))
    assert patient.known_through(TICKS) == moment - timedelta(seconds=1)


def test_assets_are_checked_with_the_venue(url: str) -> None:
    venue = BinanceFeed(["BTC", "ETH"], url, FixedClock(NOW))
    assert [str(offer.series) for offer in venue.list_assets()] == [
        "binance/BTC/candle/1m",
        "binance/BTC/tick/1s",
        "binance/ETH/candle/1m",
        "binance/ETH/tick/1s",
    ]
    with pytest.raises(UserError, match=r"FEED_ASSETS: ETHX not traded against USDT .*: ETH, BTC"):
        BinanceFeed(["BTC", "ETHX"], url, FixedClock(NOW)).list_assets()
    with pytest.raises(UserError, match=r"no DOGE; it has BTC, ETH"):
        venue.series("DOGE", "candle", "1m")
    with pytest.raises(UserError, match=r"no candle of 7m; it has 1s, 1m"):
        venue.series("BTC", "candle", "7m")
