"""Records per second from parsed record to commit, beside bare COPY, COPY + ON CONFLICT and one INSERT a row.

    make bench NAME=ingest ARGS="--rows 1000000 --inserts 20000"

Made-up candles and ticks. Every batch goes to each way of storing in turn, another one first each time, and each way
has a schema of its own with the same tables and months: so a busy machine slows all of them alike. The clock runs
from the records, made before, to the commit. `--inserts`: so many rows are enough for one INSERT a row.
Before that, `--rows` candles go through the stage `ingest`, from a feed that makes them while they are asked for:
what that takes of memory must not grow with their number.
"""

import argparse
import io
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from statistics import quantiles
from typing import Any

import orjson
from rich.console import Console
from sqlalchemy import text

from coordinator_dagster.competition import read_competition
from coordinator_dagster.feeds.fates import Fates
from coordinator_dagster.runtime import open_runtime
from coordinator_dagster.stages.ingest import BATCH, LIVE_BATCH
from coordinator_dagster.store.database import Database
from coordinator_dagster.store.embedded import stop_embedded
from coordinator_dagster.store.migrating import migrate
from coordinator_dagster.store.store import database_url
from coordinator_dagster.store.tape import COLUMNS, TapeTable
from slots.market import Kind, MarketRecord, Series, history_record, utc

START = utc("2024-01-01T00:00Z")
NAMES = ", ".join(COLUMNS)
SERIES = {"candles": Series("made_up", "BTC", "candle", "1m"), "ticks": Series("made_up", "BTC", "tick", "1s")}
OURS, OURS_LIVE = f"ours, by {BATCH:,}", f"ours, live, by {LIVE_BATCH:,}"
PEER, PEER_LIVE = f"COPY + ON CONFLICT, by {BATCH:,}", f"COPY + ON CONFLICT, by {LIVE_BATCH:,}"
BARE, INSERTS = f"bare COPY, by {BATCH:,}", f"one INSERT a row, committed by {BATCH:,}"
GOAL = 0.7
Store = Callable[[Database, Sequence[MarketRecord]], object]


def run(arguments: list[str]) -> dict[str, Any]:
    options = parse(arguments)
    home = Path(tempfile.mkdtemp(prefix="bench-ingest-"))
    console = Console(stderr=True)
    try:
        url, detail = through_the_stage(home, options.rows)
        ratios = []
        for name, series in SERIES.items():
            console.print(f"{name}: {options.rows:,} new, then the same again")
            fresh, again = measure(url, series, options.rows, options.inserts)
            ratios += [fresh[PEER].ratios(fresh[OURS]), fresh[PEER_LIVE].ratios(fresh[OURS_LIVE])]
            detail |= figures(name, fresh) | figures(f"{name} again", again)
    finally:
        stop_embedded(home)
        shutil.rmtree(home)
    ratio = min(middle for _, middle, _ in ratios)
    return {
        "name": "ingest",
        "value": ratio,
        "unit": "of the rows/s of COPY + ON CONFLICT: the least of candles and ticks, replay and live",
        "goal": GOAL,
        "met": ratio >= GOAL,
        "detail": detail,
    }


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench NAME=ingest")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of candles, and of ticks")
    parser.add_argument("--inserts", type=int, default=BATCH, help="rows stored by one INSERT each")
    options = parser.parse_args(arguments)
    if options.rows < 5 * BATCH:
        parser.error(f"--rows is at least {5 * BATCH} (five batches)")
    return options


def made_up(series: Series, first: int, count: int) -> Iterator[MarketRecord]:
    """The records number `first` and on: a candle every minute, a tick every second."""
    every = series.step or timedelta(seconds=1)
    for number in range(first, first + count):
        price = 40_000 + (number * 7919 % 100_003) / 100
        at = START + number * every
        if series.kind == "tick":
            meta = {"quantity": number % 977 / 1000, "trades": number % 5 + 1, "trade_id": number * 3}
            yield history_record(series, at, {"price": price}, meta=meta)
        else:
            values = {
                "open": price,
                "high": price + 3.7,
                "low": price - 2.91,
                "close": price + 0.63,
                "volume": price / 7,
            }
            yield history_record(series, at, values)


@dataclass
class Timed:
    """One way of storing: rows, and seconds by batch."""

    rows: int = 0
    seconds: list[float] = field(default_factory=list)

    def ratios(self, faster: "Timed") -> tuple[float, ...]:
        """How many times as fast the other one is, batch by batch: the three quartiles."""
        return tuple(quantiles(mine / its for mine, its in zip(self.seconds, faster.seconds, strict=False)))


def measure(url: str, series: Series, rows: int, inserts: int) -> tuple[dict[str, Timed], dict[str, Timed]]:
    """What each way took for new records, and for the same again."""
    ways: dict[str, Store] = {
        OURS: ours,
        OURS_LIVE: lambda database, records: [ours(database, part, at_arrival) for part in parts(records)],
        PEER: by_hand,
        PEER_LIVE: lambda database, records: [by_hand(database, part) for part in parts(records)],
        BARE: bare_copy,
        INSERTS: insert_rows,
    }
    with ExitStack() as stack:
        places = {name: stack.enter_context(closing(Scratch(url, number))) for number, name in enumerate(ways)}
        for place in places.values():
            place.ensure_months(
                "market_records", *(START + n * (series.step or timedelta(seconds=1)) for n in (0, rows))
            )
        fresh = in_turn(ways, places, series, rows, {INSERTS: inserts})
        again = in_turn({name: ways[name] for name in (OURS, OURS_LIVE, PEER, PEER_LIVE)}, places, series, rows, {})
    return fresh, again


def in_turn(
    ways: dict[str, Store], places: dict[str, "Scratch"], series: Series, rows: int, most: dict[str, int]
) -> dict[str, Timed]:
    timed = {name: Timed() for name in ways}
    for turn, first in enumerate(range(0, rows, BATCH)):
        records = list(made_up(series, first, min(BATCH, rows - first)))
        names = [name for name in ways if first < most.get(name, rows)]
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            began = time.perf_counter()
            ways[name](places[name], records)
            timed[name].seconds.append(time.perf_counter() - began)
            timed[name].rows += len(records)
    return timed


class Scratch(Database):
    """A schema that is gone at the end."""

    def __init__(self, url: str, number: int) -> None:
        super().__init__(url, f"bench_ingest_{os.getpid()}_{number}")
        migrate(self)

    def close(self) -> None:
        with self.transaction() as connection:
            connection.execute(text(f"drop schema {self.schema} cascade"))
        super().close()


def parts(records: Sequence[MarketRecord]) -> list[Sequence[MarketRecord]]:
    return [records[first : first + LIVE_BATCH] for first in range(0, len(records), LIVE_BATCH)]


def at_arrival() -> datetime:
    return utc("2026-01-05T00:00Z")


def ours(database: Database, records: Sequence[MarketRecord], arrival: Callable[[], datetime] | None = None) -> None:
    span = (records[0].event_end - (records[0].series.step or timedelta(seconds=1)), records[-1].event_end)
    TapeTable(database).add(records[0].series, records, span, START, arrival)


def line(one: MarketRecord) -> str:
    series, times = one.series, f"{one.ts_event.isoformat()}\t{one.event_end.isoformat()}\t{one.known_at.isoformat()}"
    return (
        f"{series.provider}\t{series.asset}\t{series.kind}\t{series.granularity}\t{times}\t"
        f"{orjson.dumps(one.values).decode()}\t{orjson.dumps(one.meta).decode()}\n"
    )


def by_hand(database: Database, records: Sequence[MarketRecord]) -> None:
    """COPY into a temporary table, INSERT … ON CONFLICT DO NOTHING: what one would write for just this."""
    with database.transaction() as connection:
        cursor = connection.connection.cursor()
        cursor.execute(f"create temporary table come on commit drop as select {NAMES} from market_records with no data")
        cursor.copy_expert(f"copy come ({NAMES}) from stdin", io.StringIO("".join(map(line, records))))
        cursor.execute(f"insert into market_records ({NAMES}) select {NAMES} from come on conflict do nothing")


def bare_copy(database: Database, records: Sequence[MarketRecord]) -> None:
    with database.transaction() as connection:
        cursor = connection.connection.cursor()
        cursor.copy_expert(f"copy market_records ({NAMES}) from stdin", io.StringIO("".join(map(line, records))))


def insert_rows(database: Database, records: Sequence[MarketRecord]) -> None:
    with database.transaction() as connection:
        cursor, places = connection.connection.cursor(), ", ".join(["%s"] * len(COLUMNS))
        for one in records:
            key = (one.series.provider, one.series.asset, one.series.kind, one.series.granularity)
            said = (orjson.dumps(one.values).decode(), orjson.dumps(one.meta).decode())
            cursor.execute(
                f"insert into market_records ({NAMES}) values ({places}) on conflict do nothing",
                (*key, one.ts_event, one.event_end, one.known_at, *said),
            )


class MadeUpFeed:
    """Makes candles while they are asked for, and notes the peak of this process's memory as it goes."""

    name, fixed, every_bar = "made_up", True, True

    def __init__(self, rows: int) -> None:
        self.fates, self._rows, self.peaks = Fates(), rows, [peak_mb()]

    def series(self, asset: str, kind: Kind, granularity: str) -> Series:
        return Series("made_up", asset, kind, granularity)

    def known_through(self, series: Series) -> datetime:
        return START + self._rows * series.step

    def fetch(self, series: Series, start: datetime, end: datetime) -> Iterator[MarketRecord]:
        first = -((START - start) // series.step)
        for number, record in enumerate(made_up(series, first, self._rows - first)):
            if number == 5 * BATCH:
                self.peaks.append(peak_mb())
            yield record
        self.peaks.append(peak_mb())


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def through_the_stage(home: Path, rows: int) -> tuple[str, dict[str, Any]]:
    """The server's URL; and what the stage `ingest` took for so many candles."""
    database = os.environ.get("COORDINATOR_TEST_DATABASE_URL")
    os.environ.update(
        {
            "COMPETITION": f"bench-{os.getpid()}",
            "COMPETITION_START": START.isoformat(),
            "PACK": "baseline",
            **({"DATABASE_URL": database} if database else {}),
        }
    )
    competition = read_competition(home)
    with open_runtime(competition) as runtime:
        feed = runtime.__dict__["feed"] = MadeUpFeed(rows)
        windows = competition.windows.between(START, START + timedelta(minutes=rows))
        began = time.perf_counter()
        report = runtime.ingest(windows)
        seconds = time.perf_counter() - began
        with runtime.store.database.transaction() as connection:
            connection.execute(text(f"drop schema {competition.schema} cascade"))
    assert report.new == report.offered >= rows, report
    return database_url(competition), {
        "the stage `ingest`, candles made while asked for: rows/s": report.new / seconds,
        f"MB of memory: before, peak at {5 * BATCH:,} rows, peak at {report.new:,}": [round(one) for one in feed.peaks],
    }


def figures(label: str, timed: dict[str, Timed]) -> dict[str, Any]:
    found: dict[str, Any] = {f"{label}: {name}: rows/s": one.rows / sum(one.seconds) for name, one in timed.items()}
    for mine, its in ((OURS, PEER), (OURS_LIVE, PEER_LIVE)):
        quartiles = [round(one, 2) for one in timed[its].ratios(timed[mine])]
        found[f"{label}: {mine}: ratio to {its}, by batch: quartiles"] = quartiles
    return found
