"""Listening to the stand-in exchange over its websockets, its clock running fast: the same as REST gives."""

import asyncio
import csv
import gzip
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import aclosing
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median

import httpx
import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.protocol import State

from coordinator_dagster.clock import open_clock
from coordinator_dagster.feeds import binance_session, binance_stream
from coordinator_dagster.feeds.base import MICROSECOND, FeedError, Heard
from coordinator_dagster.feeds.binance import BinanceFeed
from slots.market import MarketRecord, Series
from tests.feeds.stand_in import CANDLES, CLOSED, NOW, T0, TICKS, control

pytestmark = pytest.mark.venue
SPEED = 20
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
Venue = Callable[..., BinanceFeed]


@pytest.fixture(scope="module")
def busy_tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten minutes of trades before and ten after T0: bursts within a millisecond, and quiet half minutes."""
    folder, dice = tmp_path_factory.mktemp("busy"), random.Random(1)
    with gzip.open(folder / "binance_BTC_tick.csv.gz", "wt", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["ts_event", "price", "quantity"])
        at, price = T0 - 10 * MINUTE, 30_000.0
        while at < T0 + 10 * MINUTE:
            for _ in range(dice.choice((1, 1, 1, 5))):
                price = round(price + dice.gauss(0, 1), 2)
                rows.writerow([at.isoformat(timespec="milliseconds"), price, round(dice.random(), 5)])
            at += timedelta(milliseconds=dice.choice((1, 20, 150, 600)) if dice.random() < 0.995 else 30_000)
    return folder


@pytest.fixture
def busy(busy_tape: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BinanceFeed]:
    """The venue that plays those trades, from a third of a minute after T0 on, waited for where the machine stalls."""
    monkeypatch.setattr(binance_session, "PUSH_SECONDS", 0.4)
    yield from playing(busy_tape, T0 + 20 * SECOND)


@pytest.fixture
def calm(tape: Path) -> Iterator[BinanceFeed]:
    """The venue with four trades a minute."""
    yield from playing(tape, NOW, derive_ticks=True)


def playing(folder: Path, start: datetime, derive_ticks: bool = False) -> Iterator[BinanceFeed]:
    stand_in_exchange = pytest.importorskip("stand_in_exchange", reason="the stand-in is not importable")
    with stand_in_exchange.running(folder, start=start.isoformat(), speed=SPEED, derive_ticks=derive_ticks) as url:
        yield feed_at(url)


def feed_at(url: str, **options: object) -> BinanceFeed:
    return BinanceFeed(["BTC"], url, open_clock(f"{url}/_control/clock"), **options)  # type: ignore[arg-type]


def listen(feed: BinanceFeed, since: Mapping[Series, datetime], end: datetime) -> dict[Series, list[Heard]]:
    """What is pushed until every series has reached the end; its pieces join, and none is ahead of our clock."""
    return asyncio.run(heard_until(feed, since, end))


async def heard_until(feed: BinanceFeed, since: Mapping[Series, datetime], end: datetime) -> dict[Series, list[Heard]]:
    pieces: dict[Series, list[Heard]] = {series: [] for series in since}
    reached = dict(since)
    async with asyncio.timeout(20), aclosing(feed.listen(since)) as listening:  # type: ignore[type-var]
        async for heard in listening:
            if heard.through <= reached[heard.series]:  # late
                pieces[heard.series].append(heard)
                continue
            assert heard.after == reached[heard.series]
            assert heard.after < heard.through <= feed._clock.now()
            assert all(heard.after < record.event_end <= heard.through for record in heard.records)
            reached[heard.series] = heard.through
            pieces[heard.series].append(heard)
            if min(reached.values()) >= end:
                break
    return pieces


def asked(feed: BinanceFeed, pieces: list[Heard]) -> list[MarketRecord]:
    """What REST says of the same span."""
    series, after, through = pieces[0].series, pieces[0].after, max(heard.through for heard in pieces)
    while feed.known_through(series) < through:
        asyncio.run(asyncio.sleep(0.01))
    return list(feed.fetch(series, after - series.step + MICROSECOND, through - series.step + MICROSECOND))


def records(pieces: list[Heard]) -> list[MarketRecord]:
    """Each once, but what came too late (only where a machine stalls) stands over what had been given before."""
    found: dict[datetime, MarketRecord] = {}
    reached = pieces[0].after
    for heard in pieces:
        late, reached = heard.through <= reached, max(reached, heard.through)
        assert late or not found.keys() & {record.ts_event for record in heard.records}
        found |= {record.ts_event: record for record in heard.records}
    return [found[at] for at in sorted(found)]


def connections(feed: BinanceFeed) -> int:
    return int(httpx.get(f"{feed.url}/_control/stats").json()["requests"].get("/stream", 0))


def test_listening_gives_what_rest_gives(busy: BinanceFeed, caplog: pytest.LogCaptureFixture) -> None:
    pieces = listen(busy, {TICKS: T0 - MINUTE, CANDLES: T0 - MINUTE}, T0 + 2 * MINUTE)
    for series in (TICKS, CANDLES):
        assert records(pieces[series]) == asked(busy, pieces[series])
    assert len(records(pieces[CANDLES])) == 3
    assert max(record.meta["trades"] for record in records(pieces[TICKS])) >= 5
    assert connections(busy) == 1
    assert all("given as final" in message for message in caplog.messages)
    pushed = [heard for heard in pieces[TICKS] if heard.after > T0 + 35 * SECOND]
    assert median(heard.through - heard.after for heard in pushed) < 10 * SECOND  # not minute by minute
    assert len(pushed) < 2.2 * 85  # at most some twenty in a real second


@pytest.mark.parametrize(
    "fault",
    [
        {"ws_drop_after": {"messages": 20, "times": None}},
        {"bad_price": {"value": "nan", "times": 2, "path": "/stream"}},
        {"truncated_json": {"times": 2, "path": "/stream"}},
        {"out_of_order": {"times": 2, "path": "/stream"}},
        {"duplicates": {"times": 50, "path": "/stream"}},
    ],
    ids=lambda fault: next(iter(fault)),
)
def test_faults_of_the_stream_lose_and_repeat_nothing(busy: BinanceFeed, fault: dict[str, object]) -> None:
    async def with_fault() -> dict[Series, list[Heard]]:
        listening = asyncio.create_task(heard_until(busy, dict.fromkeys((TICKS, CANDLES), T0), T0 + 2 * MINUTE))
        while not await asyncio.to_thread(connections, busy):
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.3)
        await asyncio.to_thread(control, busy.url, "faults", **fault)
        return await listening

    pieces = asyncio.run(with_fault())
    for series in (TICKS, CANDLES):
        assert records(pieces[series]) == asked(busy, pieces[series])
    injected = httpx.get(f"{busy.url}/_control/stats").json()["injected"]
    assert injected[next(iter(fault))] >= 1
    if "out_of_order" not in fault:  # it may have swapped a trade with a candle
        assert (connections(busy) > 1) == ("duplicates" not in fault)


def test_a_silent_market_is_complete_beat_by_beat(calm: BinanceFeed) -> None:
    control(calm.url, "faults", gap={"from": NOW.isoformat(), "to": (NOW + MINUTE * 10).isoformat()})

    async def lateness() -> list[float]:
        late: list[float] = []
        async with asyncio.timeout(10), aclosing(calm.listen({TICKS: NOW})) as listening:  # type: ignore[type-var]
            async for heard in listening:
                assert not heard.records
                beat = heard.after.replace(microsecond=0) + SECOND
                late.append((calm._clock.now() - beat) / SECOND)
                if len(late) == 60:
                    break
        return late

    late = sorted(asyncio.run(lateness()))
    # The venue's seconds: 1.6 allow for a broken line; our clock's own error is another one or two at this speed.
    assert late[30] < 5
    assert connections(calm) == 1


def test_hours_that_were_missed_come_in_pieces_first(calm: BinanceFeed) -> None:
    since = NOW - timedelta(hours=5, minutes=7)
    pieces = listen(calm, {CANDLES: since, TICKS: since}, NOW + 30 * SECOND)
    for series, hours in ((CANDLES, 1), (TICKS, 1 / 6)):
        assert records(pieces[series]) == asked(calm, pieces[series])
        assert max(heard.through - heard.after for heard in pieces[series]) <= timedelta(hours=hours)
    assert len(records(pieces[CANDLES])) >= 307


def test_a_close_is_pushed_at_once_and_an_open_candle_never(calm: BinanceFeed) -> None:
    async def closes() -> list[tuple[datetime, float]]:
        found = []
        async with asyncio.timeout(10), aclosing(calm.listen({CANDLES: CLOSED})) as listening:  # type: ignore[type-var]
            async for heard in listening:
                (record,) = heard.records
                assert record.event_end == heard.through
                found.append((record.ts_event, (calm._clock.now() - heard.through) / SECOND))
                break
        return found

    found = asyncio.run(closes())
    assert [opened for opened, _ in found] == [CLOSED]
    assert all(0 <= late < 6 for _, late in found)  # 0.3 s of real time; the bar was pushed twice before that


def test_a_stream_that_cannot_be_reached_is_an_error_after_patience_and_rest_goes_on(calm: BinanceFeed) -> None:
    feed, found = feed_at(calm.url, stream_url="ws://127.0.0.1:1", patience=1.5), []

    async def hear() -> None:
        async for heard in feed.listen({TICKS: NOW}):
            found.append(heard)

    with pytest.raises(FeedError, match=r"ws://127\.0\.0\.1:1/stream\?streams=btcusdt@aggTrade: no connection"):
        asyncio.run(hear())
    assert len(found) >= 3
    assert records(found) == asked(feed, found)


def test_when_the_listener_is_cancelled_nothing_is_left(calm: BinanceFeed, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[ClientConnection] = []

    async def remembered(*args: object, **options: object) -> ClientConnection:
        made.append(await connect(*args, **options))  # type: ignore[arg-type]
        return made[-1]

    monkeypatch.setattr(binance_stream, "connect", remembered)

    async def cancelled() -> None:
        before = asyncio.all_tasks()
        listening = asyncio.create_task(heard_until(calm, {TICKS: NOW}, NOW + timedelta(days=1)))
        await asyncio.sleep(1)
        assert made[0].state is State.OPEN
        listening.cancel()
        await asyncio.wait([listening])
        assert listening.cancelled()
        assert asyncio.all_tasks() == before

    asyncio.run(cancelled())
    assert [connection.state for connection in made] == [State.CLOSED]


@pytest.mark.parametrize("answers", [1, 1000], ids=["dead", "forgetful"])
def test_a_connection_that_brings_nothing_is_replaced(
    busy: BinanceFeed, monkeypatch: pytest.MonkeyPatch, answers: int
) -> None:
    """One that answers no more, and one that answers while it pushes nothing; REST gives what they do not."""
    monkeypatch.setattr(binance_session, "SILENCE_SECONDS", 0.3)
    opened: list[ServerConnection] = []

    async def mute(connection: ServerConnection) -> None:
        opened.append(connection)
        assert connection.request is not None
        streams = connection.request.path.partition("streams=")[2].split("/")
        left = answers
        async for question in connection:
            left -= 1
            if left >= 0:
                await connection.send(orjson.dumps({"result": streams, "id": orjson.loads(question)["id"]}))

    async def hear() -> dict[Series, list[Heard]]:
        async with serve(mute, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            feed = feed_at(busy.url, stream_url=f"ws://127.0.0.1:{port}")
            return await heard_until(feed, {TICKS: T0}, T0 + 3 * MINUTE)

    pieces = asyncio.run(hear())
    assert len(opened) >= 2
    if answers == 1:  # who answers is believed for as long as SILENCE_SECONDS
        assert records(pieces[TICKS]) == asked(busy, pieces[TICKS])
