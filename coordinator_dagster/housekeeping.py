"""Every night: what nobody needs any more leaves Dagster's tables, and the database is kept in order."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import dagster as dg
from tenacity import retry, retry_if_exception, stop_after_delay, wait_random

from coordinator_dagster.heartbeat import RUN
from coordinator_dagster.live.leasing import CLAIM
from coordinator_dagster.runtime import Runtime
from coordinator_dagster.store.dagster_rows import DagsterRows, Owner
from coordinator_dagster.store.database import MONTHLY
from coordinator_dagster.store.locks import locked
from coordinator_dagster.store.upkeep import keep_up

RUNS_AT_ONCE = 50
AHEAD = timedelta(days=40)  # the next month's tables are there before it begins
LOCK_PATIENCE = "100ms"  # so long may a live run be held up, in which a table is added to others


@dataclass
class Report:
    """What was done. `unfinished`: time was up, the next night goes on."""

    runs_deleted: int = 0
    runs_thinned: int = 0
    events_deleted: int = 0
    check_executions_deleted: int = 0
    vacuumed: list[str] = field(default_factory=list)
    unfinished: bool = False


def clean_dagster(instance: dg.DagsterInstance, owner: Owner, days: int, seconds: float, report: Report) -> None:
    """Let runs go that ended over so many `days` ago (0: none does); for so many `seconds` at most.

    A run stays on which something hangs, without the events that carry no state. Runs in the queue or at work, and
    what is another competition's, are not looked at.
    """
    end = time.monotonic() + seconds
    with instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
        rows = DagsterRows(connection)
        if days:
            before, after = datetime.now(UTC) - timedelta(days=days), 0
            held_by_checks = rows.held_by_checks()
            while found := rows.ended(owner, before, after, RUNS_AT_ONCE):
                after = max(found.values())
                held = rows.held([*found]) | held_by_checks & found.keys()
                _let_go(instance, rows, [one for one in found if one not in held], report)
                if events := rows.thin(sorted(held)):
                    report.events_deleted += events
                    report.runs_thinned += len(held)
                if time.monotonic() > end:
                    report.unfinished = True
                    break
            report.check_executions_deleted = rows.forget_checks(owner, before)
        report.vacuumed += [f"dagster: {table}" for table in keep_up(connection)]


def _let_go(instance: dg.DagsterInstance, rows: DagsterRows, runs: Sequence[str], report: Report) -> None:
    """The events first: killed in between, the run is found again."""
    report.events_deleted += rows.empty(runs)
    for run in runs:
        instance.compute_log_manager.delete_logs(prefix=[run])
        instance.delete_run(run)
    report.runs_deleted += len(runs)


def keep_tables(runtime: Runtime, report: Report) -> None:
    """The competition's own tables: next month's are there, leases of long ago are gone, dead rows are reused."""
    store, now = runtime.store, runtime.clock.now()
    if runtime.competition.settings.mode == "live":
        for table in MONTHLY:
            _next_months(runtime, table, now)
    for prefix in (CLAIM, RUN):
        store.leases.forget(prefix)
    with store.database.alone() as connection:
        report.vacuumed += keep_up(connection)


@retry(retry=retry_if_exception(locked), stop=stop_after_delay(60), wait=wait_random(0.5, 2), reraise=True)
def _next_months(runtime: Runtime, table: str, now: datetime) -> None:
    runtime.store.database.ensure_months(table, now, now + AHEAD, LOCK_PATIENCE)
