"""What Dagster's own tables say of a competition: checks and jobs whose newest run failed. Nothing is made there."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

import psycopg2
from sqlalchemy import create_engine, inspect

from coordinator_dagster.competition import Competition
from coordinator_dagster.health.readings import Dagster, FailedCheck, FailedRun
from coordinator_dagster.store.database import Database, with_driver

if TYPE_CHECKING:  # Dagster takes a second to import, and may not be needed
    import dagster as dg

TABLE = "asset_check_executions"
SINCE = timedelta(days=1)  # a job that failed before is old news


@dataclass(frozen=True)
class DagsterTables:
    """Its runs and its events, as Dagster's own classes read them."""

    runs: Any
    events: Any

    @classmethod
    def of(cls, instance: "dg.DagsterInstance") -> Self:
        return cls(instance.run_storage, instance.event_log_storage)

    @classmethod
    def find(cls, database: Database, competition: Competition) -> Self | None:
        """Those at DAGSTER_POSTGRES_URL, or of DAGSTER_SCHEMA beside the competition; None: there are none (yet)."""
        given, schema = os.environ.get("DAGSTER_POSTGRES_URL"), competition.settings.dagster_schema
        if not (_has(with_driver(given), TABLE) if given else database.has(f"{schema}.{TABLE}")):
            return None
        from dagster_postgres import DagsterPostgresStorage

        from coordinator_dagster.dagster_storage import in_schema

        url = with_driver(given) if given else in_schema(database.url, schema)
        storage = DagsterPostgresStorage(url, should_autocreate_tables=False)
        return cls(storage.run_storage, storage.event_log_storage)

    def read(self, competition: Competition) -> Dagster:
        """The checks that failed when they were evaluated last, and the jobs whose newest run did.

        psycopg2's OperationalError when the server is away.
        """
        from dagster_postgres.utils import DagsterPostgresException

        try:
            checks, checked = self._checks(competition)
            runs = self._runs(competition)
        except DagsterPostgresException as error:  # Dagster's word for a server that is away
            raise psycopg2.OperationalError(str(error)) from error
        age = (datetime.now(UTC) - checked).total_seconds() if checked else None
        return Dagster(checks, runs, checked, age)

    def _checks(self, competition: Competition) -> tuple[list[FailedCheck], datetime | None]:
        import dagster as dg
        from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus as Status

        from coordinator_dagster.checks.asset_checks import CHECKS

        keys = [dg.AssetCheckKey(dg.AssetKey([competition.schema, one.asset]), one.name) for one in CHECKS]
        over, ended = {Status.FAILED, Status.SUCCEEDED}, []
        for key, newest in self.events.get_latest_asset_check_execution_by_key(keys).items():
            if newest.status in over:
                ended.append(newest)
            else:  # it is being evaluated: what counts is what was found before
                ended += self.events.get_asset_check_execution_history(key, limit=1, status=over)
        failed = [
            FailedCheck(
                one.key.asset_key.path[-1],
                one.key.name,
                one.event.dagster_event.asset_check_evaluation_data.severity.value,
                _moment(one.create_timestamp),
            )
            for one in ended
            if one.status is Status.FAILED
        ]
        last = max((one.create_timestamp for one in ended), default=None)
        return sorted(failed, key=lambda one: (one.severity, one.check)), last and _moment(last)

    def _runs(self, competition: Competition) -> list[FailedRun]:
        import dagster as dg

        from coordinator_dagster.live_job import live_job_name
        from coordinator_dagster.sensors.failure import remedies

        status, failed = dg.DagsterRunStatus, []
        ended = [status.SUCCESS, status.FAILURE, status.CANCELED]
        since = datetime.now(UTC) - SINCE
        for job in remedies(competition):
            # A live run goes on for an hour: one that works is as good as one that has ended well.
            works = [status.STARTED] if job == live_job_name(competition) else []
            filters = dg.RunsFilter(job_name=job, statuses=[*ended, *works], updated_after=since)
            for record in self.runs.get_run_records(filters, limit=1):
                run = record.dagster_run
                if run.status is status.FAILURE:
                    at = _moment(record.end_time or record.update_timestamp.timestamp())
                    failed.append(FailedRun(job.removeprefix(f"{competition.schema}_"), run.run_id, at))
        return failed


def _has(url: str, table: str) -> bool:
    engine = create_engine(url)
    try:
        return inspect(engine).has_table(table)
    finally:
        engine.dispose()


def _moment(stamp: Any) -> datetime:
    return datetime.fromtimestamp(stamp, UTC)
