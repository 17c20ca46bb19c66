"""kill -9 between archiving a month and its last file: nothing is lost, and the next run goes on from there."""

import os
from multiprocessing import get_context
from pathlib import Path

import pytest

from coordinator_dagster.audit import audit
from coordinator_dagster.clock import FixedClock
from coordinator_dagster.feeds.archive_feed import ArchiveFeed
from coordinator_dagster.runtime import Runtime, open_runtime
from coordinator_dagster.stages.archive import archive_folder
from slots.market import MarketRecord, Series
from tests.retention.conftest import END, START, TAPE_END, Make, replay_all
from tests.retention.killed import POINTS, expire_until

_FORKS = get_context("forkserver")
_FORKS.set_forkserver_preload(["pytest", "tests.crash.warm", "tests.retention.killed"])
SERIES = [Series("binance", "BTC", "candle", "1h"), Series("binance", "BTC", "tick", "1s")]
BEFORE = START.replace(day=1)


def records(source: Runtime | ArchiveFeed) -> dict[str, MarketRecord]:
    """Every record by what tells it apart."""
    found = []
    for series in SERIES:
        if isinstance(source, Runtime):
            found += source.store.tape.between(series, BEFORE, TAPE_END)
        else:
            found += source.fetch(series, BEFORE, TAPE_END)
    return {f"{one.series} {one.ts_event}": one for one in found}


@pytest.mark.crash
def test_a_kill_anywhere_loses_no_record(slow: Make, tmp_path: Path) -> None:
    made = slow()
    folder = archive_folder(made)
    with open_runtime(made) as runtime:
        replay_all(runtime)
        whole = records(runtime)
        for point in POINTS:
            told, teller = _FORKS.Pipe(duplex=False)
            process = _FORKS.Process(target=expire_until, args=(dict(os.environ), tmp_path, point, teller))
            process.start()
            teller.close()
            assert told.recv() == "here", point
            process.kill()
            process.join()
            archived = records(ArchiveFeed(folder, None, FixedClock(END))) if list(folder.rglob("*.parquet")) else {}
            there = records(runtime)
            assert archived | there == whole, f"killed when {point}"
            assert all(there[key] == one for key, one in archived.items() if key in there)
            assert audit(runtime.store.database, runtime.clock.now()) == [], f"killed when {point}"
        assert len(there) < len(whole), "the last kill came after the month had left"
        runtime.expire()
        tables = runtime.store.database.read(
            "select relname from pg_class where relkind = 'r' and relname ~ 'market_records' "
            "and relnamespace = to_regnamespace(:schema)",
            schema=made.schema,
        )
        assert [row.relname for row in tables] == ["market_records_2026_02"]
        assert not list(folder.rglob(".*")), "no half-written file is left"
        assert records(ArchiveFeed(folder, None, FixedClock(END))) | records(runtime) == whole
