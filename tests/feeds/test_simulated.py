"""The simulated market is a function of seed, asset and time."""

import asyncio
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator_dagster.clock import FixedClock
from coordinator_dagster.errors import UserError
from coordinator_dagster.feeds.simulated import SimulatedFeed
from slots.market import Kind, MarketRecord, utc

NOW = utc("2026-06-01T12:34:56.700Z")
T0 = utc("2026-01-01T00:00Z")


def feed(seed: int = 7, now: datetime = NOW) -> SimulatedFeed:
    return SimulatedFeed(["BTC", "SOL", "XYZ"], seed, FixedClock(now))


def fetch(kind: Kind, granularity: str, start: datetime, end: datetime, asset: str = "BTC") -> list[MarketRecord]:
    one = feed()
    return list(one.fetch(one.series(asset, kind, granularity), start, end))


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(
        [("candle", "1s"), ("candle", "90s"), ("candle", "1m"), ("candle", "5m"), ("candle", "1h"), ("tick", "1s")]
    ),
    st.integers(-300_000, 12_000_000),
    st.integers(0, 20_000),
    st.floats(0, 1),
)
def test_a_fetch_split_anywhere_equals_the_whole(
    what: tuple[Kind, str], offset: int, seconds: int, share: float
) -> None:
    start = T0 + timedelta(seconds=offset)
    end, middle = start + timedelta(seconds=seconds), start + timedelta(seconds=seconds * share)
    later = fetch(*what, middle, end)
    assert fetch(*what, start, middle) + later == fetch(*what, start, end)


def test_chunks_and_lattice_cells_join_without_a_seam() -> None:
    days = fetch("candle", "1m", T0, T0 + timedelta(days=60))  # longer than a lattice cell and than a chunk
    assert len(days) == 60 * 1440
    assert all(one.price == two.values["open"] for one, two in pairwise(days))
    inside = fetch("candle", "1m", T0 + timedelta(days=40, minutes=7), T0 + timedelta(days=40, minutes=9))
    assert inside == days[40 * 1440 + 7 : 40 * 1440 + 9]


def test_candles_agree_with_ticks_and_with_longer_candles() -> None:
    end = T0 + timedelta(minutes=300)  # long enough for bars whose extreme is their open or their close
    ticks = [record.price for record in fetch("tick", "1s", T0, end + timedelta(seconds=1))]
    minutes, fives = (fetch("candle", one, T0, end) for one in ("1m", "5m"))
    for at, bar in enumerate(minutes):
        seconds = ticks[60 * at : 60 * at + 61]
        assert list(bar.values.values())[:4] == [seconds[0], max(seconds), min(seconds), seconds[-1]]
    assert fives[1].values["high"] == max(bar.values["high"] for bar in minutes[5:10])
    assert fives[1].values["volume"] == pytest.approx(sum(bar.values["volume"] for bar in minutes[5:10]))


def test_it_is_a_realistic_walk_and_says_that_it_is_simulated() -> None:
    days = fetch("candle", "1m", T0, T0 + timedelta(days=20))
    closes = np.log([record.price for record in days])
    steps = np.diff(closes)
    assert 4.8e-4 < steps.std() < 5.2e-4
    assert abs(np.corrcoef(steps[1:], steps[:-1])[0, 1]) < 0.03  # unpredictable
    assert 0.9 < np.diff(closes[::60]).std() / (steps.std() * 60**0.5) < 1.1  # at the hour, too
    weeks = [T0 - timedelta(weeks=week) for week in range(500)]
    prices = [fetch("candle", "1m", week, week + timedelta(minutes=1))[0].price for week in weeks]
    assert 15_000 < min(prices) < 27_000 < 33_000 < max(prices) < 60_000
    assert all(record.meta == {"simulated": True} for record in days)
    assert 15 < fetch("tick", "1s", T0, T0 + timedelta(seconds=1), "SOL")[0].price < 40


def test_seeds_and_assets_differ() -> None:
    series = feed().series("BTC", "tick", "1s")
    one, two = (list(feed(seed).fetch(series, T0, T0 + timedelta(seconds=5))) for seed in (7, 8))
    assert one != two
    other = fetch("tick", "1s", T0, T0 + timedelta(seconds=5), "XYZ")
    assert abs(one[0].price / 30_000 - other[0].price / 100) > 1e-4


def test_what_is_not_over_is_not_known() -> None:
    one = feed()
    candles, ticks = one.series("BTC", "candle", "1m"), one.series("BTC", "tick", "1s")
    late = NOW + timedelta(days=1)
    assert one.known_through(candles) == utc("2026-06-01T12:34Z")
    assert list(one.fetch(candles, utc("2026-06-01T12:30Z"), late))[-1].event_end == utc("2026-06-01T12:34Z")
    assert one.known_through(ticks) == utc("2026-06-01T12:34:56Z")
    assert list(one.fetch(ticks, utc("2026-06-01T12:30Z"), late))[-1].ts_event == utc("2026-06-01T12:34:56Z")


def test_listen_pushes_every_record_once() -> None:
    clock = FixedClock(utc("2026-06-01T12:34:56Z"))
    one = SimulatedFeed(["BTC"], 7, clock)

    async def pushed(count: int) -> list[MarketRecord]:
        found: list[MarketRecord] = []
        through = {offer.series: clock.now() for offer in one.list_assets()}
        async for heard in one.listen(through):
            assert heard.after == through[heard.series], "the pieces follow on one another"
            through[heard.series] = heard.through
            for record in heard.records:
                assert heard.after < record.event_end <= heard.through
                assert timedelta(0) <= clock.now() - record.event_end < timedelta(seconds=0.21)
            found += heard.records
            if len(found) >= count:
                break
        return found

    found = asyncio.run(pushed(30))
    assert [f"{record.event_end:%M:%S}" for record in found if record.series.kind == "candle"] == ["35:00"]
    assert [record.ts_event.second for record in found if record.series.kind == "tick"][:6] == [
        57,
        58,
        59,
        0,
        1,
        2,
    ]


def test_what_is_not_on_offer_is_named() -> None:
    with pytest.raises(UserError, match=r"FEED_ASSETS.*no DOGE; it has BTC, SOL, XYZ"):
        feed().series("DOGE", "tick", "1s")
    with pytest.raises(UserError, match="no tick of granularity 1m; it has ticks of 1s"):
        feed().series("BTC", "tick", "1m")
    with pytest.raises(UserError, match="is not a number and a unit"):
        feed().series("BTC", "candle", "minute")
