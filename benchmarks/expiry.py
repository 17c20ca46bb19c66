"""A month of the tape leaves it: one of ten million records against an empty one; and how fast it is archived before.

    make bench NAME=expiry ARGS="--rows 10000000 --empty 10"

A competition of its own on an embedded PostgreSQL that starts and ends with it. The records are ticks, written by SQL;
then what autovacuum does in time is done. The months leave one after the other, half of the empty ones before the full
one, while another connection reads the newest record all the time: how long that is held up is measured, too.
`counting` proves under a lock on the one month that all of it is archived; `leaving` is everything else until the month
has left the tape; `freeing` gives its files back to the disk, with no lock that anybody waits for.
The peer is what dropping a month replaces: DELETE, of a tenth of the records.
"""

import argparse
import os
import resource
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from sqlalchemy import text

from coordinator_dagster.clock import SystemClock
from coordinator_dagster.competition import read_competition
from coordinator_dagster.feeds.archive_feed import ArchiveFeed
from coordinator_dagster.runtime import Runtime, open_runtime
from coordinator_dagster.stages.archive import archive_folder
from coordinator_dagster.store.embedded import stop_embedded
from coordinator_dagster.store.expiry import ExpiryTable, Month
from slots.market import Series

GOAL = 2.0
START, END = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)  # the full month
TICKS = Series("simulated", "BTC", "tick", "1s")
RECORDS = """
insert into {table} (provider, asset, kind, granularity, ts_event, event_end, known_at, values_jsonb, meta_jsonb)
select 'simulated', 'BTC', 'tick', '1s', t, t, t + interval '0.3 s',
       jsonb_build_object('price', round((30000 + 1000 * random())::numeric, 2)),
       jsonb_build_object('quantity', round(random()::numeric, 5), 'trades', 1 + (random() * 3)::int)
from generate_series(0, {rows} - 1) n,
     lateral (select timestamptz '2024-01-01 00:00Z' + n * (interval '31 days' / {rows})) m(t)
"""


@dataclass
class Left:
    """Seconds: to count a month, until it had left besides, until its files were gone; and a reader's longest wait."""

    counting: float
    leaving: float
    freeing: float
    reader: float


def run(arguments: list[str]) -> dict[str, Any]:
    options = parse(arguments)
    home, console = Path(tempfile.mkdtemp(prefix="bench-expiry-")), Console(stderr=True)
    try:
        with opened(home) as runtime:
            months = make_months(runtime, options.empty)
            console.print(f"writing {options.rows:,} records")
            figures = {"seconds to write them": timed(lambda: write(runtime, options.rows))}
            figures |= archived(runtime, options.rows, console)
            half = len(months) // 2
            console.print("the months leave")
            empty = [leave(runtime, month) for month in months[:half]]
            full = leave(runtime, Month(START, END))
            empty += [leave(runtime, month) for month in months[half:]]
            tenth = options.rows // 10
            console.print(f"peer: deleting {tenth:,} records")
            peer = delete(runtime, tenth)
    finally:
        stop_embedded(home)
        shutil.rmtree(home)
    return result(options.rows, figures, full, empty, peer)


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench NAME=expiry")
    parser.add_argument("--rows", type=int, default=10_000_000, help="records of the full month")
    parser.add_argument("--empty", type=int, default=10, help="empty months, the median counts")
    options = parser.parse_args(arguments)
    if options.rows < 1000 or options.empty < 2:
        parser.error("--rows is at least 1000, --empty at least 2")
    return options


@contextmanager
def opened(home: Path) -> Iterator[Runtime]:
    os.environ.pop("DATABASE_URL", None)
    chosen = {"COMPETITION": "bench", "COMPETITION_START": START.isoformat(), "PACK": "baseline"}
    os.environ.update({**chosen, "FEED_PROVIDER": "simulated", "TAPE_ARCHIVE_DIR": str(home / "archive")})
    with open_runtime(read_competition(home)) as runtime:
        yield runtime


def make_months(runtime: Runtime, empty: int) -> list[Month]:
    """The full month's table, and as many empty ones before and after it."""
    before, after = empty // 2, empty - empty // 2
    first, last = shifted(START, -before), shifted(START, after)
    runtime.store.database.ensure_months("market_records", first, last)
    return [month for month in runtime.store.expiry.months() if month.start != START]


def shifted(moment: datetime, months: int) -> datetime:
    number = moment.year * 12 + moment.month - 1 + months
    return moment.replace(year=number // 12, month=number % 12 + 1)


def write(runtime: Runtime, rows: int) -> None:
    database, table = runtime.store.database, Month(START, END).table
    with database.transaction() as connection:
        connection.execute(text(RECORDS.format(table="market_records", rows=rows)))
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"vacuum analyze {table}"))
        connection.execute(text("checkpoint"))


def archived(runtime: Runtime, rows: int, console: Console) -> dict[str, Any]:
    """Archive the month, verify it, and read it back as the feed does."""
    days = [START.date() + timedelta(days=number) for number in range(31)]
    table = Month(START, END).table
    size = runtime.store.database.read(f"select pg_total_relation_size('{table}') as bytes")[0].bytes
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    console.print("archiving")
    reports: list[Any] = []
    seconds = timed(lambda: reports.append(runtime.archive(days)))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    verifying = timed(lambda: reports.append(runtime.archive(days)))
    written, verified = reports
    assert (written.rows, written.written, verified.kept) == (rows, 31, 31), reports
    console.print("reading it back")
    feed = ArchiveFeed(archive_folder(runtime.competition), None, SystemClock())
    counted: list[int] = []
    reading = timed(lambda: counted.append(sum(1 for _ in feed.fetch(TICKS, START, END))))
    assert counted == [rows]
    return {
        "archiving: records a second": round(rows / seconds),
        "archiving: MB of the table a second": round(size / 1e6 / seconds, 1),
        "archiving: MB of memory more, at most": round(after - before),
        "the table: MB with its index": round(size / 1e6),
        "the archive: MB": round(written.bytes / 1e6, 1),
        "the table is so many times the archive": round(size / written.bytes, 1),
        "verifying the archive: seconds": round(verifying, 2),
        "the feed reads back: records a second": round(rows / reading),
    }


def leave(runtime: Runtime, month: Month) -> Left:
    """Let the month leave the tape, while somebody reads."""
    counting: list[float] = []
    plain = ExpiryTable._count

    def count(*arguments: Any) -> int:
        found: list[int] = []
        counting.append(timed(lambda: found.append(plain(*arguments))))
        return found[0]

    ExpiryTable._count = count  # type: ignore[method-assign]
    try:
        with reader(runtime) as waits:
            total = timed(lambda: runtime.store.expiry.leave(month, month.end, lambda: None))
            freeing = timed(runtime.store.expiry.free)
    finally:
        ExpiryTable._count = plain  # type: ignore[method-assign]
    return Left(counting[-1], total - sum(counting), freeing, max(waits))


@contextmanager
def reader(runtime: Runtime) -> Iterator[Sequence[float]]:
    """Somebody who reads the newest record all the time; gives how long each look took."""
    waits, over, begun = list[float](), threading.Event(), threading.Event()

    def look() -> None:
        while not over.is_set():
            waits.append(timed(lambda: runtime.store.tape.upto(TICKS, datetime.now(UTC), 1)))
            begun.set()

    thread = threading.Thread(target=look)
    thread.start()
    begun.wait()
    try:
        yield waits
    finally:
        over.set()
        thread.join()


def delete(runtime: Runtime, rows: int) -> float:
    """The peer."""
    database = runtime.store.database
    with database.transaction() as connection:
        connection.execute(text("create table peer (like market_records including all)"))
        connection.execute(text(RECORDS.format(table="peer", rows=rows)))

    def delete_all() -> None:
        with database.transaction() as connection:
            connection.execute(text("delete from peer where ts_event < :end"), {"end": END})

    return timed(delete_all)


def timed(what: Callable[[], Any]) -> float:
    began = time.monotonic()
    what()
    return time.monotonic() - began


def result(rows: int, figures: dict[str, Any], full: Left, empty: Sequence[Left], peer: float) -> dict[str, Any]:
    nothing = median(one.leaving for one in empty)
    value = full.leaving / nothing
    return {
        "name": "expiry",
        "value": value,
        "unit": f"x the time in which an empty month leaves the tape, for one of {rows:,} records",
        "goal": GOAL,
        "met": value <= GOAL,
        "detail": {
            "leaving: seconds": round(full.leaving, 4),
            "leaving, empty: seconds, median": round(nothing, 4),
            "leaving, empty: fastest, slowest": sorted(round(one.leaving, 4) for one in empty)[:: len(empty) - 1],
            "a reader's longest wait meanwhile: seconds": round(full.reader, 4),
            "a reader's longest wait, empty: seconds": round(max(one.reader for one in empty), 4),
            "counting before: seconds": round(full.counting, 3),
            "freeing the disk after: seconds": round(full.freeing, 3),
            "freeing the disk after, empty: seconds": round(median(one.freeing for one in empty), 4),
            "peer is": f"delete of {rows // 10:,} records, a tenth (once)",
            "peer: seconds": round(peer, 2),
            **figures,
        },
    }
