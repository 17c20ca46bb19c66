"""What is stored of the competition and of its runs, read by plain SQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psutil
from sqlalchemy import Row, create_engine, text
from sqlalchemy.exc import ProgrammingError

from coordinator_dagster.store.database import DatabaseAway, with_driver
from tests.kills.instance import SCHEMA

# Everything that was acknowledged, a row each. When a cycle was stored is noted later than it was.
KEPT = {
    "cycles": "select prediction_config_id || ' ' || performed_at as key, "
    "md5((to_jsonb(c) - 'stored_at')::text) as row from cycles c where status in ('PERFORMED', 'MISSED')",
    "forecasts": "select prediction_config_id || ' ' || performed_at || ' ' || model_id as key, md5(f::text) as row "
    "from forecasts f",
    "inputs": "select performed_at::text as key, md5(i::text) as row from inference_inputs i",
    "truths": "select prediction_config_id || ' ' || performed_at as key, md5(g::text) as row from ground_truths g",
    "scores": "select model_id || ' ' || performed_at || version as key, md5(s::text) as row from scores s",
}
TWICE = """select 'cycle ' || performed_at from cycles group by prediction_config_id, performed_at having count(*) > 1
union all select 'forecast ' || performed_at || ' ' || model_id from forecasts
 group by model_id, prediction_config_id, performed_at having count(*) > 1
union all select 'forecast of a cycle that is ' || coalesce(c.status, 'nowhere') || ' ' || f.performed_at
 from forecasts f left join cycles c using (prediction_config_id, performed_at)
 where c.status is distinct from 'PERFORMED'"""
ALIVE = "select name, holder from leases where expires_at > clock_timestamp()"


@dataclass(frozen=True)
class Runs:
    """The live run at work and the one that waits, by Dagster's ids."""

    working: str
    waiting: str


class Stored:
    """Reads only; it never starts a server that is away."""

    def __init__(self, url: str) -> None:
        options = f"-c search_path={SCHEMA} -c timezone=UTC"
        self._engine = create_engine(with_driver(url), connect_args={"options": options}, pool_pre_ping=True)

    def rows(self, sql: str, **parameters: Any) -> Sequence[Row[Any]]:
        with self._engine.connect() as connection:
            return connection.execute(text(sql), parameters).all()

    def answers(self) -> bool:
        """Whether the server is there."""
        try:
            return bool(self.rows("select 1"))
        except DatabaseAway:
            return False

    def kept(self) -> dict[str, dict[str, str]]:
        """Every row of what was acknowledged, by table and key."""
        return {name: {row.key: row.row for row in self.rows(sql)} for name, sql in KEPT.items()}

    def twice(self) -> list[str]:
        return [row[0] for row in self.rows(TWICE)]

    def performed_after(self, moment: str) -> datetime | None:
        """The first PERFORMED cycle of a later instant."""
        try:
            sql = "select min(performed_at) from cycles where status = 'PERFORMED' and performed_at > :moment"
            return self.rows(sql, moment=moment)[0][0]
        except DatabaseAway:
            return None

    def missed_since(self, moment: str) -> Sequence[Row[Any]]:
        return self.rows(
            "select performed_at, reason from cycles where status = 'MISSED' "
            "and performed_at > cast(:moment as timestamptz) - interval '15 seconds' order by 1",
            moment=moment,
        )

    def holes_since(self, moment: str) -> list[datetime]:
        """Instants up to the last that has ended of which nothing is said."""
        rows = self.rows(
            "select t from generate_series(date_bin('15 seconds', cast(:moment as timestamptz), 'epoch'), "
            "(select max(performed_at) from cycles), interval '15 seconds') t "
            "where not exists (select from cycles c where c.performed_at = t)",
            moment=moment,
        )
        return [row[0] for row in rows]

    def runs(self) -> Runs | None:
        """Both live runs, once one is at work and the other waits with warm models."""
        try:
            leases = {row.name: row.holder for row in self.rows(ALIVE)}
            working = leases.pop("live", None)
            for waiting in {one for one in leases.values() if one != working}:
                if working in leases.values() and self._is_warm(waiting):
                    return Runs(str(working), waiting)
        except (*DatabaseAway, ProgrammingError):  # or there are no tables yet
            pass
        return None

    def _is_warm(self, run_id: str) -> bool:
        sql = "select 1 from dagster.event_logs where run_id = :run and event like '%the models are warm%'"
        return self.status(run_id) == "STARTED" and bool(self.rows(sql, run=run_id))

    def status(self, run_id: str) -> str:
        """What Dagster says of a run."""
        return str(self.rows("select status from dagster.runs where run_id = :run", run=run_id)[0][0])

    def alive_runs(self) -> list[str]:
        return [
            row[0]
            for row in self.rows(
                "select run_id from dagster.runs where status in ('QUEUED', 'STARTING', 'STARTED', 'CANCELING')"
            )
        ]

    def launched_runs(self) -> list[str]:
        """Those that Dagster takes for alive, but for what is queued."""
        return [run for run in self.alive_runs() if self.status(run) in ("STARTING", "STARTED")]

    def process(self, run_id: str) -> psutil.Process:
        """The process of a run, which it has told in its log."""
        sql = (
            r"select substring(event from 'pid: (\d+)')::int as pid from dagster.event_logs "
            "where run_id = :run and dagster_event_type = 'ENGINE_EVENT'"
        )
        return psutil.Process(next(row.pid for row in self.rows(sql, run=run_id) if row.pid))

    def lease(self) -> tuple[str, bool]:
        """Who had the lease to work last, and whether it still runs."""
        row = self.rows("select holder, expires_at > clock_timestamp() as alive from leases where name = 'live'")[0]
        return str(row.holder), bool(row.alive)

    def close(self) -> None:
        self._engine.dispose()
