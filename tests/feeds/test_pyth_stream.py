"""Listening to the stand-in's Hermes and Benchmarks, its clock running fast: the same as REST gives, without a hole."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import pytest

from coordinator_dagster.clock import FixedClock, open_clock
from coordinator_dagster.feeds import pyth_candles, pyth_rest, pyth_stream
from coordinator_dagster.feeds.base import MICROSECOND, FeedError, Heard
from coordinator_dagster.feeds.pyth import PythFeed
from coordinator_dagster.feeds.pyth_records import moment
from slots.market import MarketRecord, Series
from tests.feeds.pyth_venues import CANDLES, MINUTE, SECOND, TICKS, asked, prices
from tests.feeds.stand_in import CLOSED, NOW, control

STREAM = "/v2/updates/price/stream"
SPEED = 20
START = int(NOW.timestamp())


@pytest.fixture(autouse=True)
def unlimited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyth_rest, "REQUESTS", 100_000)
    monkeypatch.setattr(pyth_rest, "TIMEOUT_SECONDS", 4.0)
    monkeypatch.setattr(pyth_stream, "CONNECTION_SECONDS", 0.1)


@pytest.fixture
def venue(tape: Path) -> Iterator[Callable[..., str]]:
    """Starts the stand-in from NOW on, at a speed."""
    stand_in_exchange = pytest.importorskip("stand_in_exchange", reason="the stand-in is not importable")
    with stand_in_exchange.running(tape, start=NOW.isoformat(), speed=0, derive_ticks=True) as url:

        def started(speed: float = SPEED) -> str:
            control(url, "clock", speed=speed)
            return url

        yield started


def feed_at(url: str, clock_url: str | None = None, **options: Any) -> PythFeed:
    clock = open_clock(f"{clock_url or url}/_control/clock")
    return PythFeed(["BTC", "ETH"], url, clock, **{"patience": 10.0, **options})


async def heard_until(feed: PythFeed, since: Mapping[Series, datetime], end: datetime) -> dict[Series, list[Heard]]:
    """What is pushed until every series has reached the end; its pieces join, and none is ahead of our clock."""
    pieces: dict[Series, list[Heard]] = {series: [] for series in since}
    reached = dict(since)
    async with asyncio.timeout(60), aclosing(feed.listen(since)) as listening:
        async for heard in listening:
            assert heard.after == reached[heard.series]
            assert heard.after < heard.through <= feed._clock.now()
            assert all(heard.after < record.event_end <= heard.through for record in heard.records)
            reached[heard.series] = heard.through
            pieces[heard.series].append(heard)
            if min(reached.values()) >= end:
                break
    return pieces


def listen(feed: PythFeed, since: Mapping[Series, datetime], end: datetime) -> dict[Series, list[Heard]]:
    return asyncio.run(heard_until(feed, since, end))


def by_rest(url: str, pieces: list[Heard]) -> list[MarketRecord]:
    """What REST says of the same span, a minute later."""
    series, after, through = pieces[0].series, pieces[0].after, pieces[-1].through
    control(url, "clock", now=(through + MINUTE).isoformat())
    feed = PythFeed(["BTC", "ETH"], url, FixedClock(through + MINUTE))
    return list(feed.fetch(series, after - series.step + MICROSECOND, through - series.step + MICROSECOND))


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What we logged, and not the stand-in."""
    return [record.getMessage() for record in caplog.records if record.name.startswith("coordinator_dagster")]


def as_recorded(tape: Path, pieces: list[Heard]) -> bool:
    """Each second's price, and none of another."""
    found, first = records(pieces), int(pieces[0].after.timestamp()) + 1
    assert [one.ts_event for one in found] == [moment(first + number) for number in range(len(found))]
    assert found[-1].ts_event == pieces[-1].through
    return [one.price for one in found] == prices(tape, first, len(found))


def records(pieces: list[Heard]) -> list[MarketRecord]:
    return [record for heard in pieces for record in heard.records]


@pytest.mark.venue
def test_listening_gives_what_rest_gives(
    venue: Callable[..., str], tape: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = venue()
    ether = Series("pyth", "ETH", "tick", "1s")
    since = {TICKS: NOW - 25 * SECOND, ether: NOW, CANDLES: CLOSED - timedelta(hours=5)}
    pieces = listen(feed_at(url), since, CLOSED + 100 * SECOND)
    assert median(heard.through - heard.after for heard in pieces[TICKS][-10:]) <= 2 * SECOND  # update by update
    assert (asked(url, STREAM), told(caplog)) == (1, [])
    last = int(pieces[TICKS][-1].through.timestamp())
    assert asked(url, f"/v2/updates/price/{last}") == 0  # what was pushed is not asked for as well
    assert len(pieces[CANDLES][0].records) == pyth_candles.PIECE_BARS  # what was missed comes first, in pieces
    assert as_recorded(tape, pieces[TICKS])
    for some in (pieces[ether][-15:], pieces[CANDLES]):
        assert records(some) == by_rest(url, some)
    assert len(records(pieces[CANDLES])) >= 302


@pytest.mark.venue
@pytest.mark.parametrize(
    ("fault", "speed"),
    [
        ({"bad_price": {"value": "nan", "times": 2, "path": STREAM}}, SPEED),
        ({"duplicates": {"times": 20, "path": STREAM}}, SPEED),
        ({"out_of_order": {"times": 10, "path": STREAM}}, 60),
    ],
    ids=lambda fault: next(iter(fault)) if isinstance(fault, dict) else "",
)
def test_faults_of_the_stream_lose_and_repeat_nothing(
    venue: Callable[..., str], tape: Path, fault: dict[str, Any], speed: float
) -> None:
    url = venue(speed)
    feed, (name,) = feed_at(url), fault

    async def with_fault() -> dict[Series, list[Heard]]:
        listening = asyncio.create_task(heard_until(feed, {TICKS: NOW}, NOW + speed * 1.8 * SECOND))
        await asyncio.sleep(0.4)
        await asyncio.to_thread(control, url, "faults", **fault)
        return await listening

    pieces = asyncio.run(with_fault())
    injected = httpx.get(f"{url}/_control/faults").json()["injected"]
    met = {one.fate: one.count for one in feed.fates.take()}
    assert as_recorded(tape, pieces[TICKS])
    assert injected[name] >= 2
    fates = {"duplicates": "duplicate", "out_of_order": "disordered", "nan": "non_finite"}
    assert met[fates[fault[name].get("value", name)]] >= 1
    assert (asked(url, STREAM) > 1) == (name == "bad_price")  # nonsense ends a connection


class Wire:
    """A line to the stand-in that can be cut; a `deaf` one brings the stream's head only."""

    def __init__(self, url: str) -> None:
        self._host, port = url.removeprefix("http://").split(":")
        self._port, self.deaf, self.streams = int(port), False, 0
        self._open: list[asyncio.StreamWriter] = []

    @asynccontextmanager
    async def laid(self) -> Any:
        async with await asyncio.start_server(self._serve, "127.0.0.1", 0) as server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            self.cut()

    def cut(self) -> None:
        for writer in self._open:
            writer.transport.abort()
        self._open.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._host, self._port)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                head = await reader.readuntil(b"\r\n\r\n")
                stream = STREAM.encode() in head
                self.streams += stream
                self._open += [writer, back] if stream else []
                back.write(head.replace(b"Connection: keep-alive", b"Connection: close"))
                while part := await there.read(65536):
                    if not (stream and self.deaf and b"HTTP/1.1" not in part):
                        writer.write(part)
        finally:
            writer.close()
            back.close()


@pytest.mark.venue
@pytest.mark.parametrize("deaf", [False, True], ids=["cut", "deaf"])
def test_a_lost_connection_loses_nothing(
    venue: Callable[..., str], tape: Path, deaf: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Cut, and refused when it is made again; or one that brings nothing any more."""
    monkeypatch.setattr(pyth_stream, "SILENCE_SECONDS", 1.0)
    url = venue()

    async def hear() -> tuple[dict[Series, list[Heard]], int]:
        wire = Wire(url)
        async with wire.laid() as there:
            feed = await asyncio.to_thread(feed_at, there, url)
            listening = asyncio.create_task(heard_until(feed, {TICKS: NOW}, NOW + MINUTE))
            await asyncio.sleep(0.5)
            wire.deaf = deaf
            if not deaf:
                await asyncio.to_thread(control, url, "faults", http_500={"times": 2, "path": STREAM})
                wire.cut()
                await asyncio.sleep(1)
                wire.cut()
            heard = await listening
            await asyncio.sleep(0.3)  # a question under way ends where it is answered
            return heard, wire.streams

    pieces, streams = asyncio.run(hear())
    assert streams >= 2 + (not deaf)
    assert "what is missed is fetched" in caplog.text
    assert as_recorded(tape, pieces[TICKS])


@pytest.mark.venue
def test_a_stream_that_cannot_be_had_is_an_error_after_patience_and_rest_goes_on(
    venue: Callable[..., str], tape: Path
) -> None:
    url = venue()
    control(url, "faults", http_503={"times": None, "path": STREAM})
    found: list[Heard] = []

    async def hear() -> None:
        async for heard in feed_at(url, patience=2).listen({TICKS: NOW}):
            found.append(heard)

    with pytest.raises(FeedError, match=rf"GET {url}{STREAM}: no stream: HTTP 503"):
        asyncio.run(hear())
    assert len(found) >= 2
    assert as_recorded(tape, found)


@pytest.mark.venue
def test_a_quiet_market_is_complete_by_the_venues_word_and_goes_on(venue: Callable[..., str], tape: Path) -> None:
    url, start, end = venue(), NOW + 30 * SECOND, NOW + 70 * SECOND
    control(url, "faults", gap={"from": start.isoformat(), "to": end.isoformat()})
    pieces = listen(feed_at(url), {TICKS: NOW}, end + 15 * SECOND)[TICKS]
    assert as_recorded(tape, [heard for heard in pieces if heard.through < start])
    quiet = [heard for heard in pieces if start <= heard.through < end]
    assert len(quiet) >= 2
    assert not records(quiet)
    afterwards = [one.ts_event for one in records(pieces) if one.ts_event >= start]
    assert afterwards[:15] == [end + number * SECOND for number in range(15)]


@pytest.mark.venue
def test_when_the_listener_is_cancelled_nothing_is_left(venue: Callable[..., str]) -> None:
    url = venue()

    async def cancelled() -> None:
        before = asyncio.all_tasks()
        listening = asyncio.create_task(heard_until(feed_at(url), {TICKS: NOW, CANDLES: CLOSED}, NOW + 60 * MINUTE))
        await asyncio.sleep(0.7)
        assert len(asyncio.all_tasks()) == len(before) + 4  # it, the connection, and what follows each series
        listening.cancel()
        await asyncio.wait([listening])
        assert asyncio.all_tasks() == before

    asyncio.run(cancelled())
