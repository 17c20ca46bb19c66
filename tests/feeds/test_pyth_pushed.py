"""What Pyth pushes, piece by piece: what links up, what is late, what is quiet, and when a bar is whole."""

import asyncio
from contextlib import aclosing
from datetime import timedelta
from typing import Any

import pytest

from coordinator_dagster.clock import FixedClock, RunningClock
from coordinator_dagster.feeds import pyth_candles, pyth_stream
from coordinator_dagster.feeds.base import MICROSECOND, Heard
from coordinator_dagster.feeds.fates import Fates
from coordinator_dagster.feeds.pyth import PythFeed
from coordinator_dagster.feeds.pyth_pushed import PushedPrices
from coordinator_dagster.feeds.pyth_records import EPOCH, moment, price_update
from tests.feeds.pyth_venues import CANDLES, MINUTE, SECOND, TICKS, canned, published
from tests.feeds.stand_in import CLOSED, NOW

START = int(NOW.timestamp())


def update(second: int, previous: int | None = None, price: str = "100000000") -> Any:
    one = published(START + second, price)
    one["metadata"]["prev_publish_time"] = START + (second - 1 if previous is None else previous)
    return price_update(TICKS, one, NOW + MINUTE)


def seconds(heard: Heard | None) -> tuple[int, int, list[int]]:
    assert heard is not None
    ends = [(at - NOW) // SECOND for at in (heard.after, heard.through)]
    return ends[0], ends[1], [(record.ts_event - NOW) // SECOND for record in heard.records]


def test_an_update_is_final_when_nothing_can_be_missing_before_it(caplog: pytest.LogCaptureFixture) -> None:
    fates = Fates()
    pushed, now = PushedPrices(TICKS, NOW, fates), NOW + MINUTE
    pushed.take(update(1))
    assert pushed.cut(NOW) is None  # not over by our own clock
    assert seconds(pushed.cut(now)) == (0, 1, [1])
    pushed.take(update(5, previous=3))
    assert (pushed.cut(now), pushed.unlinked) == (None, START + 5)
    pushed.take(update(3, previous=1))
    assert seconds(pushed.cut(now)) == (1, 5, [3, 5])
    pushed.take(update(5, previous=3))
    assert {met.fate: met.count for met in fates.take()} == {"disordered": 1, "duplicate": 1}
    pushed.take(update(6, previous=6, price="2"))  # not the first of its second
    assert pushed.cut(now) is None
    pushed.take(update(6, price="3"))
    pushed.take(update(6, previous=6, price="4"))
    heard = pushed.cut(now)
    assert [one.price for one in heard.records] == [3e-8] if heard else False
    assert not caplog.messages


def test_the_venues_word_that_it_is_quiet_is_weighed() -> None:
    pushed = PushedPrices(TICKS, NOW, Fates())
    pushed.take(update(1))
    pushed.cut(NOW + MINUTE)
    for _ in range(2):
        assert pushed.quiet(START, START + 20) is None  # who answers has not even seen what we have
    assert seconds(pushed.quiet(START + 1, START + 20)) == (1, 20, [])
    assert [pushed.quiet(START, START + 21), pushed.quiet(START, START + 22)] == [None, None]
    assert seconds(pushed.quiet(START, START + 23)) == (20, 23, [])  # said three times in a row
    assert seconds(pushed.quiet(START, START + 24)) == (23, 24, [])
    pushed.take(update(25, previous=1))
    assert seconds(pushed.cut(NOW + MINUTE)) == (24, 25, [25])
    assert (pushed.quiet(START + 30, START + 41), pushed.unlinked) == (None, START + 30)
    pushed.take(update(28, previous=26))
    assert (pushed.quiet(START + 25, START + 41), pushed.unlinked) == (None, START + 28)  # it came meanwhile


@pytest.mark.venue
def test_what_comes_after_its_time_was_complete_is_a_piece_of_its_own(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    pieces: list[Heard] = []

    async def put(heard: Heard) -> None:
        pieces.append(heard)

    async def hear() -> None:
        clock = FixedClock(NOW)
        feed = PythFeed(["BTC"], url, clock)
        stream = pyth_stream.PythStream(feed._prices, clock, feed.fates, 3 * SECOND, {TICKS: NOW - MINUTE}, put)
        (pushed,) = stream._pushed
        pushed.move(START - 10, [])
        following = asyncio.create_task(stream._follow(pushed))
        for second in (-70, -30, -30):
            pushed.take(update(second))
        async with asyncio.timeout(5):
            while not pieces:
                await asyncio.sleep(0.01)
        following.cancel()

    asyncio.run(hear())
    (late,) = pieces
    assert (late.after, late.through) == (NOW - 30 * SECOND - MICROSECOND, NOW - 30 * SECOND)
    assert [(one.ts_event, one.price > 1) for one in late.records] == [(NOW - 30 * SECOND, True)]  # as REST has it
    assert caplog.text.count("came when that time was complete") == 1


def test_a_bar_is_taken_when_it_is_whole(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Right after its close its last seconds may be missing: then a later bar is not there yet."""
    monkeypatch.setattr(pyth_candles, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(pyth_candles, "BAR_SECONDS", 0.3)
    opened = int(CLOSED.timestamp())

    def bars(*closes: float, first: int = opened) -> tuple[int, Any]:
        times = [first + 60 * number for number in range(len(closes))]
        columns = {name: list(closes) for name in "ohlc"} | {"v": [0.0] * len(closes)}
        return 200, {"s": "ok" if closes else "no_data", "t": times, **columns}

    def heard(answers: list[Any], speed: float, pieces: int = 1) -> list[Heard]:
        async def hear(url: str) -> list[Heard]:
            feed = PythFeed(["BTC"], url, RunningClock(CLOSED + MINUTE, speed))
            found = []
            async with asyncio.timeout(10), aclosing(feed.listen({CANDLES: CLOSED})) as listening:
                async for piece in listening:
                    found.append(piece)
                    if len(found) == pieces:
                        break
            return found

        left = list(answers)
        with canned(lambda path: left.pop(0) if len(left) > 1 else left[0]) as venue:
            return asyncio.run(hear(venue.url))

    # torn off at first, then with the next bar; our clock has moved by less than the delay
    (whole,) = heard([bars(), bars(1.0), bars(1.5), bars(2.0, 9.0)], speed=1)
    assert [one.price for one in whole.records] == [2.0]
    # no later bar, as when nothing is published: taken after the delay
    (whole,) = heard([bars(1.0), bars(2.0)], speed=4)
    assert [one.price for one in whole.records] == [2.0]
    # missing, but a later one is there; and missing without any
    for answer in (bars(9.0, first=opened + 60), bars()):
        (missing,) = heard([answer], speed=20)
        assert (missing.after, missing.through, missing.records) == (CLOSED, CLOSED + MINUTE, [])
    assert not caplog.messages


def test_the_second_that_is_under_way_is_not_over() -> None:
    for fraction, last in ((0.0, 4), (0.999, 4), (1.0, 5)):
        assert pyth_stream.last_over(EPOCH + timedelta(seconds=5 + fraction)) == last
    assert moment(5) == EPOCH + 5 * SECOND
