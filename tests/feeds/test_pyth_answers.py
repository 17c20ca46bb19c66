"""Pyth with made-up answers: what is believed and what is refused, its settings, its key and its budget."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from coordinator_dagster.clock import FixedClock
from coordinator_dagster.errors import UserError
from coordinator_dagster.feeds import pyth_prices, pyth_rest
from coordinator_dagster.feeds.base import FeedError
from coordinator_dagster.feeds.fates import Fates
from coordinator_dagster.feeds.pyth import PythFeed
from coordinator_dagster.feeds.pyth_records import NotYet, moment, price_update
from coordinator_dagster.feeds.registry import create_from_env
from slots.market import MarketRecord, NoPrice
from tests.feeds.pyth_venues import CANDLES, FEEDS, MINUTE, SECOND, TICKS, canned, feed, hermes, published
from tests.feeds.stand_in import CLOSED, NOW, T0
from tests.feeds.test_registry import Settings

KEY = "s3cret-key"
ASKED = int((NOW - MINUTE).timestamp())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Settings("pyth", []), r"FEED_ASSETS is empty; FEED_PROVIDER=pyth"),
        (Settings("pyth", feed_base_url="hermes.pyth.network"), r"FEED_BASE_URL=hermes.pyth.network is not a URL"),
        (Settings("pyth", feed_history_url="ftp://a"), r"FEED_HISTORY_URL=ftp://a is not a URL"),
        (Settings("pyth", feed_api_key=SecretStr(f"{KEY}\n")), r"FEED_API_KEY has characters that no key has"),
    ],
)
def test_a_fault_names_the_setting_and_no_secret(settings: Settings, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        create_from_env(settings, FixedClock(NOW))
    assert KEY not in str(error.value)


def test_the_addresses_are_pyths_own_unless_they_are_set() -> None:
    own, history = "https://hermes.pyth.network", "https://benchmarks.pyth.network"
    for base, past, used in (
        (None, None, (own, history)),
        (None, "http://a", (own, "http://a")),
        ("http://b/", None, ("http://b", "http://b")),
        ("http://b", "http://a/", ("http://b", "http://a")),
    ):
        venue = create_from_env(Settings("pyth", feed_base_url=base, feed_history_url=past), FixedClock(NOW))
        assert isinstance(venue, PythFeed)
        assert (venue.url, venue.history_url) == used


@pytest.mark.parametrize(
    ("update", "wrong"),
    [
        (published(ASKED - 1), r"the first update at or after 2026-01-02T00:59:30.*the answer is 2026-01-02T00:59:29"),
        (published(0, "0"), r"publish_time=0 is not a positive"),
        (published(ASKED, "0"), r"BTC/tick/1s at 2026-01-02T00:59:30\+00:00: price=0\.0 is not a positive"),
        (published(ASKED + 3600), r"that time has not come"),
    ],
    ids=["stale", "never published", "unpublished", "future"],
)
def test_a_stale_or_unpublished_price_is_no_answer(update: dict[str, Any], wrong: str) -> None:
    with canned(hermes(lambda second: update)) as venue, pytest.raises(FeedError, match=wrong):
        list(feed(venue.url, patience=0.3).fetch(TICKS, moment(ASKED), NOW))


def test_an_update_after_the_range_asked_is_not_of_it() -> None:
    with canned(hermes(lambda second: published(ASKED + 20))) as venue:
        found = list(feed(venue.url).fetch(TICKS, moment(ASKED), moment(ASKED + 20)))
        assert found == []
        (one,) = feed(venue.url).fetch(TICKS, moment(ASKED), moment(ASKED + 21))
    assert one.ts_event == moment(ASKED + 20)  # under its own time, whatever was asked


def test_no_update_within_the_hour_is_believed_thrice_and_asked_for_further_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyth_prices, "LOOK_AHEAD", 10)
    seen: list[int] = []

    def answer(path: str) -> tuple[int, Any]:
        if "price_feeds" in path:
            return 200, FEEDS
        seen.append(second := int(path.partition("?")[0].rpartition("/")[2]) - ASKED)
        there = second == 0 or (second == 1 and seen.count(1) == 2) or second > 15
        return (200, {"parsed": [published(ASKED + second)]}) if there else (404, "Update data not found")

    with canned(answer) as venue:
        found = list(feed(venue.url).fetch(TICKS, moment(ASKED), moment(ASKED + 23)))
    assert seen == [0, 1, 1, 2, 2, 2, 12, 12, 12, 22]  # one empty answer is not enough
    assert [(one.ts_event - moment(ASKED)) // SECOND for one in found] == [0, 1, 22]


def test_a_history_that_makes_no_sense_is_not_believed() -> None:
    first = int((CLOSED - 2 * MINUTE).timestamp())
    row: Mapping[str, Any] = {name: [1.0, 1.0] for name in "ohlcv"}
    good = {"s": "ok", "t": [first, first + 60], **row}
    for wrong, answer in (
        ("shorter|longer", {**good, "h": [1.0]}),
        ("h|high", {name: value for name, value in good.items() if name != "h"}),
        ("high=True", {**good, "h": [True, 1.0]}),
        ("high='1.0'", {**good, "h": ["1.0", 1.0]}),
        ("a bar opens at a multiple", {**good, "t": [first, first + 61]}),
        ("two bars", {**good, "t": [first, first], "c": [1.0, 2.0]}),
        ("s='ok' with 0 bars", {"s": "ok", "t": [], **{name: [] for name in "ohlcv"}}),
        ("says: error: too far", {"s": "error", "errmsg": "too far"}),
    ):
        with canned(lambda path, answer=answer: (200, answer)) as venue:
            with pytest.raises(FeedError, match=wrong):
                list(feed(venue.url, patience=0.15).fetch(CANDLES, moment(first), NOW))
            venue.answer = lambda path: (200, good)
            assert len(list(feed(venue.url).fetch(CANDLES, moment(first), NOW))) == 2
            venue.answer = lambda path: (200, {"s": "no_data"})
            assert list(feed(venue.url).fetch(CANDLES, moment(first), NOW)) == []


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"price": "NaN"}, NoPrice),
        ({"price": "Infinity"}, NoPrice),
        ({"price": "-1"}, NoPrice),
        ({"price": "1.5"}, NoPrice),
        ({"price": "9" * 30}, NoPrice),
        ({"price": 100}, TypeError),
        ({"conf": "NaN"}, NoPrice),
        ({"conf": "-1"}, NoPrice),
        ({"expo": 400}, NoPrice),
        ({"expo": True}, TypeError),
        ({"expo": -8.0}, TypeError),
        ({"publish_time": "1"}, TypeError),
        ({"publish_time": ASKED + 121}, NotYet),
    ],
)
def test_what_is_no_price_is_refused(changes: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        price_update(TICKS, published(ASKED, **changes), NOW)
    for missing in ("price", "conf", "expo", "publish_time"):
        one = published(ASKED)
        del one["price"][missing]
        with pytest.raises(KeyError):
            price_update(TICKS, one, NOW)


def test_prices_are_exact() -> None:
    for text, expo, price in (
        ("2762600000001", -8, 27626.00000001),
        ("7", 3, 7000.0),
        ("123456789012345678", -12, None),
    ):
        record = price_update(TICKS, published(ASKED, text, expo=expo), NOW).record
        assert record.price == (price or 123456.789012345678)
    one = published(ASKED)
    del one["metadata"]
    assert price_update(TICKS, one, NOW).record == MarketRecord(
        TICKS, moment(ASKED), {"price": 1.0}, moment(ASKED), moment(ASKED), {"conf": 0.0005, "expo": -8}
    )


def test_the_key_is_sent_and_never_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with canned(lambda path: (403, f"not for Bearer {KEY}")) as venue:
        for key, sent in ((SecretStr(KEY), f"Bearer {KEY}"), (None, None)):
            for series in (CANDLES, TICKS):
                with pytest.raises(FeedError, match=r"HTTP 403: .*FEED_API_KEY.*not for Bearer") as error:
                    list(feed(venue.url, api_key=key).fetch(series, T0, NOW))
                assert (KEY in str(error.value)) == (key is None)  # nobody told it there: the venue made it up
                assert venue.keys.pop() == sent
        latest = hermes(lambda second: published(ASKED))
        venue.answer = lambda path: (403, f"no stream for {KEY}") if "stream" in path else latest(path)
        listening = feed(venue.url, api_key=SecretStr(KEY)).listen({TICKS: NOW})
        with pytest.raises(FeedError, match=r"no stream: HTTP 403: .*no stream for \(the key\)"):
            asyncio.run(anext(listening))  # type: ignore[arg-type]
        assert set(venue.keys) == {f"Bearer {KEY}"}
        venue.answer = lambda path: (200, f"{{torn {KEY}")
        with pytest.raises(FeedError, match="nonsense") as error:
            list(feed(venue.url, api_key=SecretStr(KEY), patience=0.3).fetch(CANDLES, T0, NOW))
    assert KEY not in str(error.value)
    assert KEY not in caplog.text


def test_questions_keep_within_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]

    class Time:
        monotonic = staticmethod(lambda: now[0])

        @staticmethod
        def sleep(seconds: float) -> None:
            now[0] += seconds

    monkeypatch.setattr(pyth_rest, "time", Time)
    times: list[float] = []
    with canned(lambda path: (200, times.append(now[0]) or [])) as venue:  # type: ignore[func-returns-value]
        rest = pyth_rest.PythRest(Fates())
        for _ in range(60):
            now[0] += 0.1
            rest.ask(venue.url, len)
    assert times[24] - times[0] == pytest.approx(2.4)
    assert all(late - early >= 10 for early, late in zip(times, times[25:], strict=False))
    assert times[-1] - times[0] < 25
    rest.refusal(httpx.Response(429, headers={"Retry-After": "30"}))
    assert rest.reserve() == 30  # whoever was refused, all wait
    rest.patience = 5
    with pytest.raises(pyth_rest.Refusal, match="asked this address to wait"):
        rest.reserve()
