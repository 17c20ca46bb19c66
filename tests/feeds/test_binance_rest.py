"""Asking Binance when python-binance is broken, when the venue is, and when nobody is there."""

import logging
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from coordinator_dagster.clock import FixedClock
from coordinator_dagster.feeds import binance_budget
from coordinator_dagster.feeds.base import FeedError
from coordinator_dagster.feeds.binance import BinanceFeed
from slots.market import Series
from tests.feeds.stand_in import CANDLES, CLOSED, NOW, T0, control, feed, recorded, requests_seen

pytestmark = pytest.mark.venue


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


def test_questions_are_spaced_out_before_the_venue_has_to_refuse(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binance_budget, "FEW", 20)
    venue = feed(url)
    for _ in range(12):
        assert list(venue.fetch(CANDLES, NOW - timedelta(minutes=9), NOW))
    venue.venue_time()
    assert venue.transport == "python-binance"
    budget = venue._rest.budget
    assert (budget.limit, requests_seen(url, "exchangeInfo")) == (6000, 1)  # the venue's own, asked for once
    budget.saw({"X-MBX-USED-WEIGHT-1M": "4799"})
    assert [round(budget.reserve(), 1) for _ in range(3)] == [0, 0, 0]
    budget.saw({"x-mbx-used-weight-1m": "4800"})  # whoever has used it
    assert [round(budget.reserve(), 1) for _ in range(3)] == [0, 2, 4]


def test_nobody_asks_while_the_venue_wants_us_to_wait(url: str, venue: BinanceFeed) -> None:
    control(url, "faults", http_418={"retry_after": 3600})
    with pytest.raises(FeedError, match="HTTP 418"):
        list(venue.fetch(CANDLES, T0, NOW))
    before = requests_seen(url, "klines")
    with pytest.raises(FeedError, match="asked this address to wait"):
        list(venue.fetch(CANDLES, T0, NOW))
    assert requests_seen(url, "klines") == before
