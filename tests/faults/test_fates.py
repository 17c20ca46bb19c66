"""Each fate a record can have: what becomes of it on the tape, and where it is counted. Pushed ones: seed 0."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("stand_in_exchange", reason="the stand-in is not importable")

from coordinator_dagster.audit import audit
from coordinator_dagster.audit.queries import read_queries
from coordinator_dagster.clock import FixedClock
from coordinator_dagster.feeds.base import FeedError
from coordinator_dagster.feeds.binance import BinanceFeed
from coordinator_dagster.runtime import Runtime, open_runtime
from coordinator_dagster.store.gaps import GapTable
from slots.market import MarketRecord, Series, utc
from tests.faults.contest import make_competition
from tests.faults.seed import quick
from tests.faults.truth import BTC, BTC_5M, ETH, SERIES, TICK, truth
from tests.faults.venue import Venue, open_venue
from tests.faults.watching import look

pytestmark = [pytest.mark.faults, pytest.mark.venue]
START, NOW = utc("2023-03-23T12:00Z"), utc("2023-03-23T12:30Z")
MINUTE, SHORTLY = timedelta(minutes=1), timedelta(seconds=10)
KLINES, TRADES = "/api/v3/klines", "/api/v3/aggTrades"


@dataclass
class World:
    """A live competition that asks a venue whose clock stands shortly after `NOW`."""

    venue: Venue
    runtime: Runtime
    folder: Path

    def ingest(self) -> None:
        self.runtime.ingest(self.runtime.competition.windows.between(START, NOW))

    def heal(self, after: timedelta) -> None:
        """The venue is well again; by our clock so much time has passed. The venue's stands."""
        self.venue.heal()
        self.runtime.clock.moment += after  # type: ignore[attr-defined]
        self.runtime.heal()

    def tape(self, series: Series) -> list[MarketRecord]:
        return list(self.runtime.store.tape.between(series, START, NOW))

    def truth(self, series: Series, end: datetime = NOW) -> list[MarketRecord]:
        return truth(self.folder, series, START, end)

    def is_true(self, but: tuple[Series, ...] = ()) -> bool:
        """All is there, and as the venue has it."""
        return all(
            [(one.ts_event, one.values) for one in self.tape(series)]
            == [(one.ts_event, one.values) for one in self.truth(series)]
            for series in SERIES
            if series not in but
        )

    def fates(self, series: Series) -> dict[str, int]:
        rows = self.rows("select * from market_fates")
        return {row.fate: row.count for row in rows if (row.asset, row.kind, row.granularity) == key(series)}

    def rows(self, sql: str, **parameters: Any) -> list[Any]:
        return list(self.runtime.store.database.read(sql, **parameters))

    def gaps(self, series: Series) -> list[tuple[datetime, datetime, str]]:
        rows = self.rows("select * from market_gaps where state <> 'CLOSED' order by gap_start")
        return [
            (row.gap_start, row.gap_end, row.state)
            for row in rows
            if (row.asset, row.kind, row.granularity) == key(series)
        ]

    def nothing_wrong(self) -> bool:
        queries = [one for one in read_queries() if one.asset == "market_records"]
        return not audit(self.runtime.store.database, self.runtime.clock.now(), queries=queries)


def key(series: Series) -> tuple[str, str, str]:
    return series.asset, series.kind, series.granularity


@pytest.fixture
def world(tape_dir: Path, database_url: str, schema: Callable[[str], str], tmp_path: Path) -> Iterator[World]:
    with quick(), open_venue(tape_dir, NOW + SHORTLY) as venue:
        made = make_competition(schema("fates"), venue, tmp_path, database_url, START, feed_backfill_minutes=0)
        with open_runtime(made) as runtime:
            clock = FixedClock(NOW + SHORTLY)
            feed = BinanceFeed(["BTC", "ETH"], venue.url, clock, patience=1.0)
            runtime.__dict__.update(feed=feed, clock=clock)
            yield World(venue, runtime, tape_dir)


def test_out_of_order_is_put_in_order(world: World) -> None:
    world.venue.inject(out_of_order={"times": 2, "path": "/api"})
    world.ingest()
    assert world.is_true()
    assert sum(world.fates(series).get("disordered", 0) for series in SERIES) >= 2


def test_the_same_again_is_passed_over(world: World) -> None:
    world.venue.inject(duplicates={"times": 1, "path": KLINES})
    world.ingest()
    assert world.is_true()
    assert world.fates(BTC) == {"duplicate": 1}
    world.ingest()
    assert world.is_true()
    assert world.fates(BTC) == {"duplicate": 1 + len(world.truth(BTC))}
    assert world.fates(TICK) == {"duplicate": len(world.truth(TICK))}


def test_a_restated_record_stays_as_it_was_known_first(world: World) -> None:
    hole = START + 12 * MINUTE
    world.venue.inject(gap={"from": hole.isoformat(), "to": (hole + MINUTE).isoformat(), "asset": "BTC"})
    world.ingest()
    (first,) = [one for one in world.tape(BTC_5M) if one.ts_event == START + 10 * MINUTE]
    world.heal(MINUTE)
    world.ingest()
    (true,) = [one for one in world.truth(BTC_5M) if one.ts_event == first.ts_event]
    assert first.values != true.values, "four minutes of five"
    assert first in world.tape(BTC_5M)
    assert world.is_true(but=(BTC_5M,))
    rows = world.rows("select * from market_restatements")
    assert [(row.granularity, row.ts_event, row.values_jsonb, row.first_values_jsonb) for row in rows] == [
        ("5m", first.ts_event, true.values, first.values)
    ]
    assert world.fates(BTC_5M)["restated"] == 1
    assert world.nothing_wrong()


def test_of_a_time_that_has_not_come_nothing_is_taken(world: World) -> None:
    """The venue's clock is right, ours is ten minutes behind."""
    behind = NOW - 10 * MINUTE
    world.runtime.__dict__["clock"] = FixedClock(behind)
    world.ingest()
    for series in SERIES:
        known = [one.ts_event for one in world.truth(series, behind)]
        assert [one.ts_event for one in world.tape(series)] == known
        through = world.runtime.store.tape.complete_through([series])
        assert through is not None and through <= behind
        assert world.fates(series) == {"future": len(world.truth(series)) - len(known)}
    assert world.nothing_wrong()
    world.runtime.__dict__["clock"] = FixedClock(NOW)
    world.ingest()
    assert world.is_true()


@pytest.mark.parametrize(
    ("value", "fate"), [("nan", "non_finite"), ("negative", "not_positive"), ("zero", "not_positive")]
)
def test_what_is_no_price_is_refused_and_asked_for_again(world: World, value: str, fate: str) -> None:
    world.venue.inject(bad_price={"value": value, "times": None, "path": KLINES})
    with pytest.raises(FeedError, match="is not a positive finite number"):
        world.ingest()
    assert world.tape(BTC) == []
    assert world.gaps(BTC) == [(START, NOW, "open")]
    assert world.fates(BTC)[fate] >= 2, "it was asked for again"
    world.venue.inject(bad_price={"value": value, "times": 1, "path": TRADES})
    world.ingest()
    assert world.is_true()
    assert world.fates(TICK)[fate] == 1
    assert world.gaps(BTC) == []
    assert world.nothing_wrong()


def test_late_trades_and_candles_enter_and_are_known_from_then_on(world: World) -> None:
    hole = START + 10 * MINUTE
    world.venue.inject(gap={"from": hole.isoformat(), "to": (hole + 2 * MINUTE).isoformat()})
    world.ingest()
    assert world.gaps(BTC) == world.gaps(ETH) == [(hole, hole + 2 * MINUTE, "open")]
    before, after = hole - timedelta(seconds=1), hole + 2 * MINUTE
    assert world.gaps(TICK)[-1] == (before, after - timedelta(microseconds=1), "open")
    assert world.runtime.store.tape.complete_through([TICK]) > after
    world.heal(MINUTE)
    assert world.is_true(but=(BTC_5M,))
    for series, count in ((TICK, 8), (BTC, 2), (ETH, 2)):
        late = [one for one in world.tape(series) if hole <= one.ts_event < after]
        assert {one.known_at for one in late} == {world.runtime.clock.now()}
        assert world.fates(series)["late"] == count == len(late)
        assert world.gaps(series)[1:] == []
    assert world.nothing_wrong()


def test_who_dies_before_saying_what_is_missing_has_covered_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    hole = START + 10 * MINUTE
    world.venue.inject(gap={"from": hole.isoformat(), "to": (hole + 2 * MINUTE).isoformat()})

    def die(*arguments: Any, **named: Any) -> None:
        raise RuntimeError("kill -9")

    for name in ("answered", "record"):
        with monkeypatch.context() as patch:
            patch.setattr(GapTable, name, die)
            with pytest.raises(RuntimeError, match="kill -9"):
                world.ingest()
        found = look(world.runtime.store.database, world.runtime.clock)
        assert not any(found.hole(one) for series in SERIES for one in world.truth(series))
    world.heal(MINUTE)
    world.ingest()
    assert world.is_true(but=(BTC_5M,))
