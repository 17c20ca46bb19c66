"""Pyth over REST against the stand-in exchange: the same as the tape it plays, only final, and nothing it refuses."""

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from coordinator_dagster.clock import FixedClock
from coordinator_dagster.errors import UserError
from coordinator_dagster.feeds import pyth_candles, pyth_rest
from coordinator_dagster.feeds.base import FeedError
from coordinator_dagster.feeds.pyth import PythFeed
from coordinator_dagster.feeds.pyth_records import moment
from slots.market import Series
from tests.feeds.pyth_venues import CANDLES, MINUTE, SECOND, TICKS, asked, bars, feed, prices
from tests.feeds.stand_in import CLOSED, NOW, T0, control

pytestmark = pytest.mark.venue


@pytest.fixture(autouse=True)
def unlimited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyth_rest, "REQUESTS", 100_000)


@pytest.mark.parametrize("granularity", ["1m", "5m", "1h", "1d"])
def test_candles_equal_the_tape_over_several_pages_without_the_open_bar(
    url: str, tape: Path, granularity: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pyth_candles, "PAGE_BARS", 400)
    series = feed(url).series("BTC", "candle", granularity)
    found = list(feed(url).fetch(series, T0, NOW + timedelta(days=1)))
    closed = (CLOSED - T0) // series.step
    assert [one.values for one in found] == bars(tape, series)[:closed]
    assert [one.ts_event for one in found] == [T0 + number * series.step for number in range(closed)]
    assert feed(url).known_through(series) == found[-1].event_end
    assert asked(url) == -(-closed // 400)


def test_a_candle_is_not_given_before_the_delay_is_over(url: str) -> None:
    shown = httpx.get(
        f"{url}/v1/shims/tradingview/history",
        params={"symbol": "Crypto.BTC/USD", "resolution": "1", "from": int(T0.timestamp()), "to": 2**40},
    ).json()
    assert moment(shown["t"][-1]) == CLOSED  # the venue does show the open bar
    for seconds, last in ((2.9, CLOSED - 2 * MINUTE), (3, CLOSED - MINUTE)):
        early = PythFeed(["BTC"], url, FixedClock(CLOSED + seconds * SECOND))
        assert [one.ts_event for one in early.fetch(CANDLES, CLOSED - 2 * MINUTE, NOW)][-1] == last
    slow = feed(url, flush=timedelta(seconds=31))
    assert slow.known_through(CANDLES) == CLOSED - MINUTE


def test_ticks_equal_the_tape_second_by_second(url: str, tape: Path) -> None:
    venue, start = feed(url), NOW - 2 * MINUTE
    found = list(venue.fetch(TICKS, start + timedelta(microseconds=1), NOW + MINUTE))
    # the second that has just begun, and three of delay, are still open
    assert venue.known_through(TICKS) == found[-1].ts_event == NOW - 4 * SECOND
    first = int(start.timestamp()) + 1
    assert [one.ts_event for one in found] == [moment(first + number) for number in range(116)]
    assert [one.values["price"] for one in found] == prices(tape, first, 116)
    assert found[0].meta["expo"] == -8
    assert found[0].meta["conf"] == pytest.approx(found[0].price * 5e-4)
    assert set(found[0].meta) == {"conf", "expo", "slot"}


def test_an_outage_is_a_hole_in_what_is_fetched(url: str, tape: Path) -> None:
    start, end = CLOSED - 4 * MINUTE, CLOSED - 2 * MINUTE
    control(url, "faults", gap={"from": start.isoformat(), "to": end.isoformat()})
    ticks = [one.ts_event for one in feed(url).fetch(TICKS, start - 2 * SECOND, end + 2 * SECOND)]
    assert ticks == [start - 2 * SECOND, start - SECOND, end, end + SECOND]
    opens = [one.ts_event for one in feed(url).fetch(CANDLES, NOW - 10 * MINUTE, NOW)]
    assert opens == [CLOSED - number * MINUTE for number in range(9, 0, -1) if number not in (3, 4)]


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"http_429": {"times": 1, "retry_after": 1}}, ""),
    ({"http_500": 2}, ""),
    ({"truncated_json": 1}, ""),
    ({"empty_list": 1}, ""),
    ({"bad_price": {"value": "nan"}}, "non_finite"),
    ({"bad_price": {"value": "negative"}}, "not_positive"),
    ({"bad_price": {"value": "zero"}}, "not_positive"),
    ({"duplicates": 1}, "duplicate"),
    ({"out_of_order": 1}, "disordered"),
]


@pytest.mark.parametrize("series", [CANDLES, TICKS], ids=str)
def test_every_fault_heals_without_loss(url: str, series: Series, caplog: pytest.LogCaptureFixture) -> None:
    venue, start = feed(url, patience=3), NOW - (10 * MINUTE if series == CANDLES else 8 * SECOND)
    clean = list(venue.fetch(series, start, NOW))
    for fault, fate in FAULTS if series == CANDLES else FAULTS[:-1]:  # one tick an answer has no order
        control(url, "faults", **fault)
        caplog.clear()
        began = time.monotonic()
        assert list(venue.fetch(series, start, NOW)) == clean
        assert time.monotonic() - began >= ("http_429" in fault)
        assert httpx.get(f"{url}/_control/faults").json()["active"] == {}
        assert [(met.series, met.fate) for met in venue.fates.take()] == ([(series, fate)] if fate else [])
        assert ("refused" in caplog.text) == (next(iter(fault)) in ("bad_price", "truncated_json", "empty_list"))


def test_a_price_that_stays_bad_is_an_error_naming_it(url: str) -> None:
    venue = feed(url, patience=0.5)
    for series, name, path in ((CANDLES, "close", "/v1"), (TICKS, "price", "/v2/updates")):
        control(url, "faults", bad_price={"value": "nan", "times": None, "path": path})
        with pytest.raises(FeedError, match=rf"{series} at 2026-01-02T.*{name}=.* is not a positive finite"):
            list(venue.fetch(series, NOW - 5 * MINUTE, NOW))
        assert venue.fates.take()[0].count > 1


def test_what_does_not_heal_is_an_error_with_the_answer_in_it(url: str) -> None:
    control(url, "faults", http_503={"times": None})
    with pytest.raises(FeedError, match=rf"GET {url}/v1/shims.*resolution=1.*HTTP 503: 503 \(attempts: [2-9]\)"):
        list(feed(url, patience=0.5).fetch(CANDLES, T0, NOW))
    control(url, "faults", clear=True, http_429={"times": None, "retry_after": 3600})
    began = time.monotonic()
    with pytest.raises(FeedError, match="HTTP 429"):
        list(feed(url).fetch(CANDLES, T0, NOW))
    assert time.monotonic() - began < 1  # an hour's ban is not waited for
    control(url, "faults", clear=True)
    with pytest.raises(FeedError, match=r"Crypto.NOPE.*HTTP 404: .*Symbol not found.*attempts: 1"):
        list(feed(url).fetch(Series("pyth", "NOPE", "candle", "1m"), T0, NOW))
    with pytest.raises(FeedError, match=r"price_feeds has no Crypto.NOPE/USD"):
        list(feed(url).fetch(Series("pyth", "NOPE", "tick", "1s"), T0, NOW))
    with pytest.raises(FeedError, match=r"no answer: ConnectError"):
        list(feed("http://127.0.0.1:1", patience=0.3).fetch(CANDLES, T0, NOW))


def test_assets_and_settings_are_checked(url: str) -> None:
    offers = PythFeed(["BTC", "ETH"], url, FixedClock(NOW)).list_assets()
    assert [str(one.series) for one in offers] == [
        f"pyth/{asset}/{kind}" for asset in ("BTC", "ETH") for kind in ("candle/1m", "tick/1s")
    ]
    with pytest.raises(UserError, match=r"FEED_ASSETS: ETHX not published in USD .*names first: ETH, BTC$"):
        PythFeed(["BTC", "ETHX"], url, FixedClock(NOW)).list_assets()
    with pytest.raises(UserError, match=r"no DOGE; it has BTC"):
        feed(url).series("DOGE", "candle", "1m")
    with pytest.raises(UserError, match=r"no candle of 3m; it has 1m, 2m, 5m, 15m, 30m, 1h, 2h, 4h, 6h, 12h, 1d"):
        feed(url).series("BTC", "candle", "3m")
    with pytest.raises(UserError, match=r"no tick of 1m; it has 1s"):
        feed(url).series("BTC", "tick", "1m")
