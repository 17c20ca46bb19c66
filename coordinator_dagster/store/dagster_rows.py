"""What leaves Dagster's own tables: rows of runs that ended long ago, and on which nothing hangs any more.

`instance.delete_run` takes a run's materializations along, and with them its partitions' status. So a run stays while
a partition, an asset, a check or a backfill hangs on it, and of such a run only the rows leave that carry no state.
Every statement is on its own, and finds its rows by Dagster's indexes; killed anywhere, the next night goes on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

BATCH_ROWS = 5000
# Known to carry no state. What is not listed stays, also what a later Dagster brings.
STATELESS = (
    *("ENGINE_EVENT", "LOGS_CAPTURED", "OBJECT_STORE_OPERATION", "LOADED_INPUT", "HANDLED_OUTPUT"),
    *("STEP_START", "STEP_SUCCESS", "STEP_INPUT", "STEP_OUTPUT", "STEP_SKIPPED", "STEP_RESTARTED"),
    *("STEP_UP_FOR_RETRY", "STEP_EXPECTATION_RESULT", "STEP_WORKER_STARTING", "STEP_WORKER_STARTED"),
    *("RESOURCE_INIT_STARTED", "RESOURCE_INIT_SUCCESS", "RESOURCE_INIT_FAILURE"),
    *("HOOK_COMPLETED", "HOOK_ERRORED", "HOOK_SKIPPED"),
    *("PIPELINE_ENQUEUED", "PIPELINE_DEQUEUED", "PIPELINE_STARTING", "PIPELINE_CANCELING"),
)
ENDED = "('SUCCESS', 'FAILURE', 'CANCELED')"
OF_ASSETS = "('ASSET_MATERIALIZATION', 'ASSET_MATERIALIZATION_PLANNED', 'ASSET_OBSERVATION')"
# An event `e` of an asset that counts: the asset's last of its kind, or the last word on its partition. A later
# materialization has the last word on what was planned or observed before it.
STANDS = f"""(e.dagster_event_type in {OF_ASSETS} and (
    e.id = (select max(l.id) from event_logs l
            where l.asset_key = e.asset_key and l.dagster_event_type = e.dagster_event_type)
    or e.partition is not null and not exists (
        select from event_logs l where l.asset_key = e.asset_key and l.partition = e.partition and l.id > e.id
        and l.dagster_event_type in ('ASSET_MATERIALIZATION', e.dagster_event_type))))"""
# A check's last execution, and the last that came to an end.
LAST_CHECKS = """(select max(id) from asset_check_executions group by asset_key, check_name, partition
    union select max(id) from asset_check_executions where execution_status <> 'PLANNED'
    group by asset_key, check_name, partition)"""
LAST_OF_ITS_PARTITION = """exists (select from run_tags p
    where p.run_id = r.run_id and p.key = 'dagster/partition' and not exists (
        select from run_tags q join runs l on l.run_id = q.run_id
        where q.key = p.key and q.value = p.value and l.pipeline_name = r.pipeline_name and l.id > r.id))"""


@dataclass(frozen=True)
class Owner:
    """Whose runs: `label` is of the code location that launched them, `jobs` are those of runs that have none."""

    label: str | None
    jobs: Sequence[str]
    schema: str


class DagsterRows:
    """Over one connection to Dagster's tables, in which every statement is a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        connection.execute(text("set lock_timeout = '1s'"))  # nobody waits behind what waits for a lock

    def ended(self, owner: Owner, before: datetime, after: int, most: int) -> dict[str, int]:
        """The owner's runs that ended before that moment, in UTC: the next ones after row `after`, by run id."""
        rows = self._connection.execute(
            text(
                "select r.id, r.run_id from runs r "
                "left join run_tags t on t.run_id = r.run_id and t.key = '.dagster/repository' "
                f"where r.id > :after and r.status in {ENDED} and r.update_timestamp < :before "
                "and (t.value = :label or t.value is null and r.pipeline_name = any(:jobs)) order by r.id limit :most"
            ),
            {
                "after": after,
                "before": before.replace(tzinfo=None),
                "label": owner.label,
                "jobs": list(owner.jobs),
                "most": most,
            },
        )
        return {row.run_id: row.id for row in rows}

    def held_by_checks(self) -> set[str]:
        """The runs of the last executions of all checks."""
        sql = f"select run_id from asset_check_executions where id in {LAST_CHECKS} and run_id is not null"
        return set(self._connection.execute(text(sql)).scalars())

    def held(self, runs: Sequence[str]) -> set[str]:
        """Those of the runs on which something else hangs: a partition, an asset, a job's partition, a backfill."""
        sql = f"""select r.run_id from runs r where r.run_id = any(:runs) and (
            exists (select from event_logs e where e.run_id = r.run_id and {STANDS})
            or exists (select from asset_keys a where a.last_run_id = r.run_id)
            or {LAST_OF_ITS_PARTITION}
            or exists (select from bulk_actions b where b.key = r.backfill_id
                and b.status in ('REQUESTED', 'CANCELING', 'FAILING')))"""
        return set(self._connection.execute(text(sql), {"runs": list(runs)}).scalars())

    def empty(self, runs: Sequence[str]) -> int:
        """Delete every event of these runs; how many they were."""
        return self._delete("true", runs)

    def thin(self, runs: Sequence[str]) -> int:
        """Delete those events of these runs that carry no state; how many they were."""
        return self._delete(
            "(e.dagster_event_type is null or e.dagster_event_type = any(:stateless) "
            f"or e.dagster_event_type in {OF_ASSETS} and not {STANDS})",
            runs,
        )

    def _delete(self, which: str, runs: Sequence[str]) -> int:
        sql = f"""with gone as (delete from event_logs where id in (
                select e.id from event_logs e where e.run_id = any(:runs) and {which} limit {BATCH_ROWS}) returning id),
            tags as (delete from asset_event_tags where event_id in (select id from gone))
            select count(*) from gone"""
        total = 0
        while True:
            given = {"runs": list(runs), "stateless": list(STATELESS)}
            gone = self._connection.execute(text(sql), given).scalar_one()
            total += gone
            if gone < BATCH_ROWS:
                return total

    def forget_checks(self, owner: Owner, before: datetime) -> int:
        """Delete executions of the owner's checks that were before that moment and are not the last; how many."""
        sql = (
            "delete from asset_check_executions where starts_with(asset_key, :prefix) and create_timestamp < :before "
            f"and id not in {LAST_CHECKS}"
        )
        given = {"prefix": f'["{owner.schema}", ', "before": before.replace(tzinfo=None)}
        return self._connection.execute(text(sql), given).rowcount
