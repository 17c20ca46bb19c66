"""Binance against the stand-in exchange: the same records as the tape it plays, whatever goes wrong."""

import asyncio
import csv
import gzip
import logging
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from coordinator_dagster.clock import FixedClock
from coordinator_dagster.errors import UserError
from coordinator_dagster.feeds.base import FeedError
from coordinator_dagster.feeds.binance import BinanceFeed
from coordinator_dagster.feeds.replay import ReplayFeed
from coordinator_dagster.feeds.simulated import SimulatedFeed
from slots.market import MarketRecord, Series, utc

stand_in_exchange = pytest.importorskip("stand_in_exchange", reason="the stand-in exchange is not importable")
pytestmark = pytest.mark.venue
real_tape = pytest.mark.skipif(
    "COORDINATOR_TEST_TAPE" not in os.environ, reason="COORDINATOR_TEST_TAPE names no folder"
)

T0 = utc("2026-01-01T00:00Z")
NOW = T0 + timedelta(days=1, hours=1, seconds=30)  # half a minute into a candle
CLOSED = NOW - timedelta(seconds=30)  # all that opened before this are over
CANDLES = Series("binance", "BTC", "candle", "1m")
TICKS = Series("binance", "BTC", "tick", "1s")


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two made-up days of one-minute candles, of which the venue's clock has seen one and an hour."""
    folder = tmp_path_factory.mktemp("tape")
    made_up = SimulatedFeed(["BTC", "ETH"], 1, FixedClock(T0 + timedelta(days=2)))
    for asset in ("BTC", "ETH"):
        with gzip.open(folder / f"binance_{asset}_candle_1m.csv.gz", "wt", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["ts_event", "open", "high", "low", "close", "volume"])
            series = made_up.series(asset, "candle", "1m")
            for record in made_up.fetch(series, T0, T0 + timedelta(days=2)):
                rows.writerow([record.ts_event.isoformat(), *record.values.values()])
    return folder


@pytest.fixture
def url(tape: Path) -> Iterator[str]:
    with stand_in_exchange.running(tape, start=NOW.isoformat(), speed=0, derive_ticks=True) as url:
        yield url


def feed(url: str, now: datetime = NOW, patience: float = 5.0) -> BinanceFeed:
    return BinanceFeed(["BTC"], url, FixedClock(now), patience=patience)


def control(url: str, what: str, **order: Any) -> None:
    httpx.post(f"{url}/_control/{what}", json=order).raise_for_status()


def requests_seen(url: str, path: str) -> int:
    return int(httpx.get(f"{url}/_control/stats").json()["requests"].get(f"/api/v3/{path}", 0))


def recorded(tape: Path, start: datetime, end: datetime, series: Series = CANDLES) -> list[MarketRecord]:
    return list(ReplayFeed(tape, "binance", FixedClock(end)).fetch(series, start, end))


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
        part.writelines(
            line for line in whole if line.startswith(("ts_event", "2023-03-24", "2023-03-25T00"))
        )
    start, end = utc("2023-03-24T00:00Z"), utc("2023-03-25T00:00Z")
    with stand_in_exchange.running(tmp_path, start="2023-03-25T00:30:00Z", speed=0) as url:
        day = list(feed(url, utc("2023-03-25T00:30:00Z")).fetch(CANDLES, start, end))
    assert day == recorded(tmp_path, start, end)
    assert len(day) == 1360  # no bar from 12:40 to 13:59


@real_tape
def test_real_trades_equal_the_real_tape(tmp_path: Path) -> None:
    source = Path(os.environ["COORDINATOR_TEST_TAPE"]) / "binance_BTC_tick.csv.gz"
    (tmp_path / source.name).symlink_to(source)
    now = utc("2026-02-16T04:04:58.500Z")
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
    assert (
        list(feed(url, NOW + timedelta(minutes=1)).fetch(CANDLES, NOW - timedelta(minutes=10), late)) == found
    )
    control(url, "faults", clock_skew_s=60)
    assert list(feed(url).fetch(CANDLES, NOW - timedelta(minutes=10), late)) == found


def test_without_python_binance_plain_http_gives_the_same(
    url: str, tape: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "binance", None)
    with caplog.at_level(logging.WARNING):
        venue = feed(url)
        assert list(venue.fetch(CANDLES, T0, NOW)) == recorded(tape, T0, CLOSED)
    assert venue.transport == "http"
    assert caplog.text.count("python-binance does not work here") == 1


def test_a_broken_client_falls_back_to_plain_http(
    url: str, tape: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise TypeError("get_klines() got an unexpected keyword argument")

    monkeypatch.setattr("binance.Client.get_klines", broken)
    venue = feed(url)
    assert venue.transport == "python-binance"
    with caplog.at_level(logging.WARNING):
        assert list(venue.fetch(CANDLES, T0, NOW)) == recorded(tape, T0, CLOSED)
    assert venue.transport == "http"
    assert caplog.text.count("unexpected keyword argument") == 1


@pytest.fixture(params=["python-binance", "http"])
def venue(request: pytest.FixtureRequest, url: str, monkeypatch: pytest.MonkeyPatch) -> BinanceFeed:
    """A feed over each transport that gives up after a short while, with the venue's time known already."""
    if request.param == "http":
        monkeypatch.setitem(sys.modules, "binance", None)
    one = feed(url, patience=1.3)
    assert one.transport == request.param
    one.known_through(CANDLES)
    return one


def test_overload_heals_and_retry_after_is_honoured(url: str, tape: Path, venue: BinanceFeed) -> None:
    start = NOW - timedelta(minutes=10)
    expected = recorded(tape, start, CLOSED)
    for fault, least in (
        ({"http_429": {"retry_after": 1}}, 1.0),
        ({"http_503": {"times": 2}}, 0.1),
        ({"truncated_json": 1}, 0.1),
    ):
        control(url, "faults", **fault)
        before, began = requests_seen(url, "klines"), time.monotonic()
        assert list(venue.fetch(CANDLES, start, NOW)) == expected
        assert time.monotonic() - began >= least
        assert requests_seen(url, "klines") > before + 1


def test_what_does_not_heal_is_an_error_with_the_answer_in_it(url: str, venue: BinanceFeed) -> None:
    transport = venue.transport

    def message() -> str:
        with pytest.raises(FeedError) as error:
            list(venue.fetch(CANDLES, T0, NOW))
        return str(error.value)

    control(url, "faults", http_500={"times": None})
    permanent = message()
    for part in (f"GET {url}/api/v3/klines?", "BTCUSDT", "HTTP 500", "unknown error occurred", "attempts: "):
        assert part in permanent
    control(url, "faults", clear=True, http_429={"times": None, "retry_after": 3600})
    began = time.monotonic()
    assert "HTTP 429" in message()
    assert time.monotonic() - began < 1  # an hour's ban is not waited for
    control(url, "faults", clear=True)
    absent = BinanceFeed(["NOPE"], url, FixedClock(NOW), patience=60)
    with pytest.raises(FeedError, match=r"symbol=NOPEUSDT.*HTTP 400: .*Invalid symbol.*attempts: 1"):
        list(absent.fetch(Series("binance", "NOPE", "candle", "1m"), T0, NOW))
    assert venue.transport == transport  # an answer of the venue is no reason to change it


def test_an_unreachable_venue_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for transport in ("python-binance", "http"):
        venue = feed("http://127.0.0.1:1", patience=0.3)
        with pytest.raises(FeedError, match=r"GET http://127\.0\.0\.1:1/api/v3/time.*no answer"):
            venue.known_through(CANDLES)
        assert venue.transport == transport  # which is not to blame
        monkeypatch.setitem(sys.modules, "binance", None)


@pytest.mark.parametrize("value", ["nan", "negative", "zero"])
def test_a_price_that_is_none_is_an_error(url: str, value: str) -> None:
    venue, start = feed(url), NOW - timedelta(minutes=10)
    venue.known_through(CANDLES)
    for series, name in ((CANDLES, "close"), (TICKS, "price")):
        control(url, "faults", bad_price={"value": value})
        with pytest.raises(FeedError, match=rf"{series} at 2026-01-02T.*{name}=.* is not a positive finite"):
            list(venue.fetch(series, start, NOW))


def test_repeated_and_disordered_rows_come_out_once_and_in_order(url: str, tape: Path) -> None:
    venue, start = feed(url), NOW - timedelta(minutes=10)
    venue.known_through(CANDLES)
    clean = {series: list(venue.fetch(series, start, NOW)) for series in (CANDLES, TICKS)}
    for series, fault in ((one, two) for one in clean for two in ("duplicates", "out_of_order")):
        control(url, "faults", **{fault: 1})
        assert list(venue.fetch(series, start, NOW)) == clean[series]


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


def test_listen_pushes_each_record_once_as_it_becomes_final(url: str) -> None:
    class Venue(FixedClock):
        """Our clock and the venue's, moved together."""

        async def sleep_until(self, moment: datetime) -> None:
            await super().sleep_until(moment)
            await asyncio.to_thread(control, url, "clock", now=moment.isoformat())

    async def pushed() -> list[tuple[str, str, float]]:
        clock = Venue(NOW)
        venue = BinanceFeed(["BTC"], url, clock, poll_seconds=5)
        found: list[tuple[str, str, float]] = []
        async for record in venue.listen([CANDLES, TICKS]):
            late = (clock.now() - record.event_end).total_seconds()
            found.append((record.series.kind, f"{record.ts_event:%M:%S}", late))
            if len(found) == 7:
                break
        return found

    assert asyncio.run(pushed()) == [
        ("tick", "00:40", 5.0),
        ("candle", "00:00", 0.0),
        ("tick", "00:59", 1.0),
        ("tick", "01:00", 5.0),
        ("tick", "01:20", 5.0),
        ("tick", "01:40", 5.0),
        ("candle", "01:00", 0.0),
    ]
    assert requests_seen(url, "klines") == 2  # none while no candle can have closed


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
