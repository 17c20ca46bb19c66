"""Celery workers share a backfill, one is killed in its middle, and live cycles of another competition go on."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from coordinator_dagster.competition import read_competition
from coordinator_dagster.store.database import Database
from coordinator_dagster.store.store import Store
from tests.production.farm import BROKER, Worker, coordinator, environment_of, make_competition, make_ui, workers
from tests.tables import settled_tables
from tests.ui import PROJECT, Ui, coordinator_dev, sql, until

pytestmark = [pytest.mark.production, pytest.mark.timeout(1800)]
WINDOWS, A_RUN = 200, 10
KILLED_AFTER = 4  # runs that have succeeded
COMPLETES, BEGINS, ENDS = 1200, 180, 60  # seconds
FIRST = datetime(2026, 1, 5, tzinfo=UTC)
REPLAYED = {
    "MODE": "replay",
    "PACK": "tournament",
    "FEED_PROVIDER": "simulated",
    "COMPETITION_START": FIRST.isoformat(),
    "COMPETITION_END": (FIRST + timedelta(hours=WINDOWS)).isoformat(),
    "MODELS_DIR": str(PROJECT / "examples" / "models"),
    "BACKFILL_WINDOWS": str(A_RUN),
}
LIVE = {
    "MODE": "live",
    "PACK": "realtime",
    "FEED_PROVIDER": "simulated",
    "MODELS_DIR": str(PROJECT / "examples" / "models"),
}
TOLERANCE = timedelta(seconds=15) / 10  # a tenth of the cadence of the pack `realtime`, after the cut-off
CYCLES = (
    "select count(*) filter (where status = 'PERFORMED') as performed, "
    " count(*) filter (where status = 'MISSED') as missed, min(reason) as why, "
    " percentile_cont(0.99) within group (order by dispatched_at - performed_at) as asked_after, "
    " percentile_cont(0.99) within group (order by dispatched_at - cut_off) as late "
    "from cycles where performed_at >= :since and performed_at < :until"
)


@pytest.fixture
def broker() -> Iterator[redis.Redis]:
    """A Redis with nothing in it."""
    with redis.Redis.from_url(BROKER) as found:
        try:
            found.ping()
        except redis.ConnectionError:
            pytest.skip(f"no Redis at {BROKER}")
        found.flushdb()
        yield found
        found.flushdb()


@pytest.fixture
def shared(database_url: str) -> Iterator[dict[str, str]]:
    """What all folders of one Dagster say."""
    name = f"test_{os.getpid()}_celery"
    yield {"DATABASE_URL": database_url, "DAGSTER_SCHEMA": name}
    sql(database_url, f"drop schema if exists {name} cascade")


def store_of(folder: Path) -> Any:
    made = read_competition(folder)
    assert made.settings.database_url
    return closing(Store(Database(made.settings.database_url.get_secret_value(), made.schema)))


def cycles_between(folder: Path, since: datetime, until: datetime) -> Any:
    with store_of(folder) as store:
        return store.database.read(CYCLES, since=since, until=until)[0]


def test_workers_share_a_backfill_and_one_is_killed(
    broker: redis.Redis, shared: dict[str, str], schema: Callable[[str], str], tmp_path: Path
) -> None:
    replayed, live, ui_folder = _folders(tmp_path, schema, shared)
    started = {"live": (live, "live"), "first": (replayed, "batch"), "second": (replayed, "batch")}
    with coordinator_dev(ui_folder, environment_of(ui_folder), ENDS) as port, workers(started) as at_work:
        ui = Ui(read_competition(replayed).schema, port, replayed.name)
        until(lambda: _performs(live), BEGINS, "a live cycle")
        since = datetime.now(UTC)
        seconds = _backfill(ui, at_work["first"], at_work["second"])
        over = datetime.now(UTC) - timedelta(seconds=20)  # what is later may be on its way yet
        found = cycles_between(live, since, over)
        runs = {name: worker.begun() for name, worker in at_work.items()}
        at_work["second"].end(ENDS)
        at_work["live"].end(ENDS)
    print(f"\n{WINDOWS} windows in {seconds:.0f} s, runs begun: {runs}; live: {found}")
    assert min(runs["first"], runs["second"]) > 1
    assert (found.missed, found.performed > 0) == (0, True), found
    assert found.late <= TOLERANCE
    for folder in (replayed, live):
        print(coordinator(folder, "audit").strip().splitlines()[-1])
    assert _tables(replayed) == _tables(_in_one_process(tmp_path, schema("straight"), shared))


def test_runs_end_when_told_and_go_on_when_killed(
    broker: redis.Redis, shared: dict[str, str], schema: Callable[[str], str], tmp_path: Path
) -> None:
    replayed, live, ui_folder = _folders(tmp_path, schema, shared)
    started = {"live": (live, "live"), "batch": (replayed, "batch")}
    with coordinator_dev(ui_folder, environment_of(ui_folder), ENDS) as port, workers(started) as at_work:
        batch, ui = at_work["batch"], Ui(read_competition(replayed).schema, port, replayed.name)
        told = ui.launch_backfill(_keys(0, A_RUN))
        until(lambda: batch.models() > 0, BEGINS, "a run to ask models")
        (run,) = [one["id"] for one in ui.backfill(told)["runs"]]
        ui.terminate(run)
        until(lambda: ui.run(run)["status"] == "CANCELED", ENDS, "the run to end")

        killed = ui.launch_backfill(_keys(A_RUN, 2 * A_RUN))
        until(lambda: batch.begun() == 2 and batch.models() > 0, BEGINS, "the next run to ask models")
        for one in batch.runs():
            one.kill()
        until(lambda: ui.backfill(killed)["status"] != "REQUESTED", BEGINS, "the killed run to go on and end")
        assert _statuses(ui, killed) == ["SUCCESS"]
        assert ui.backfill(killed)["status"] == "COMPLETED_SUCCESS"

        until(lambda: _performs(live), BEGINS, "a live cycle")
        at_work["live"].kill()
        at_work["live"] = Worker(live, "live", "another")
        over = datetime.now(UTC)
        until(lambda: _performs(live, over), BEGINS, "a live cycle of another worker")
        at_work["live"].end(ENDS)

        finished = ui.launch_backfill(_keys(2 * A_RUN, 3 * A_RUN))
        until(lambda: batch.models() > 0, BEGINS, "the last run to ask models")
        batch.end(BEGINS)
        assert _statuses(ui, finished) == ["SUCCESS"], "it did not finish its run before it ended"
    assert "no violation" in coordinator(replayed, "audit")
    assert "no violation" in coordinator(live, "audit")


def _folders(parent: Path, schema: Callable[[str], str], shared: dict[str, str]) -> tuple[Path, Path, Path]:
    """Those of a replay, of a live competition that began with this hour, and of their UI."""
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0).isoformat()
    replayed = make_competition(parent, "replay", COMPETITION=schema("replay"), **REPLAYED, **shared)
    live = make_competition(parent, "live", COMPETITION=schema("live"), COMPETITION_START=hour, **LIVE, **shared)
    return replayed, live, make_ui(parent, [replayed, live], **shared)


def _keys(first: int, last: int) -> list[str]:
    return [f"{FIRST + timedelta(hours=hour):%Y-%m-%d-%H:%M}" for hour in range(first, last)]


def _performs(live: Path, after: datetime = FIRST) -> bool:
    performed = "select 1 from cycles where status = 'PERFORMED' and performed_at > :after limit 1"
    with store_of(live) as store:
        return store.database.has("cycles") and bool(store.database.read(performed, after=after))


def _backfill(ui: Ui, first: Worker, second: Worker) -> float:
    """Launch it, kill the first worker in its middle, wait until it is done; how long it took in seconds."""
    began, backfill = time.monotonic(), ui.launch_backfill(_keys(0, WINDOWS))
    until(lambda: _statuses(ui, backfill).count("SUCCESS") >= KILLED_AFTER, COMPLETES, "some runs")
    until(lambda: first.models() > 0, BEGINS, "the first worker to ask models")
    first.kill()
    killed = time.monotonic() - began
    until(lambda: ui.backfill(backfill)["status"] != "REQUESTED", COMPLETES, "the backfill")
    found = ui.backfill(backfill)
    print(f"\nkilled after {killed:.0f} s; the backfill is {found['status']}, its runs {_statuses(ui, backfill)}")
    assert found["status"] == "COMPLETED_SUCCESS", found
    assert len(found["runs"]) == WINDOWS // A_RUN
    return time.monotonic() - began


def _statuses(ui: Ui, backfill: str) -> list[str]:
    return [one["status"] for one in ui.backfill(backfill)["runs"]]


def _in_one_process(parent: Path, name: str, shared: dict[str, str]) -> Path:
    folder = make_competition(parent, "straight", COMPETITION=name, **REPLAYED, **shared)
    coordinator(folder, "replay", "--workers", "1")
    return folder


def _tables(folder: Path) -> dict[str, Any]:
    with store_of(folder) as store:
        tables = settled_tables(store)
    assert tables["scores"], "nothing was scored: the test would show nothing"
    return tables
