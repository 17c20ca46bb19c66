"""One model's newest forecasts.

There is no index by model: the newest cycles are walked, and each is asked for the model's forecast by key. So the cost
does not grow with history, nor with how many models there are.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from coordinator_dagster.store.database import Database
from coordinator_dagster.store.report.newest_cycles import OF_CYCLE

# `limit 1` keeps the planner from reading whole ranges of forecasts, of all models, for a join.
NEWEST = f"""
with newest as materialized (
    select performed_at, prediction_config_id from cycles
    where performed_at <= least(cast(:until as timestamptz),
                                (select max(performed_at) from cycles where status = 'PERFORMED'))
    order by performed_at desc, prediction_config_id desc limit :most
), shown as materialized (
    select version, detail_jsonb->>'truth_version' as truth_version from slot_versions where current
)
select f.performed_at, f.resolvable_at, f.prediction_config_id as config_id, f.scope_key, f.status, f.exec_time_ms,
       -- rule: nobody sees an answer before its truth
       case when g.status = 'RESOLVED' then f.inference_output_jsonb end as output,
       case when g.status = 'RESOLVED' then g.truth_jsonb end as truth, g.status as truth_status,
       s.status as score_status, s.score_value, s.score_failed_reason
from newest c
cross join lateral (
    select * from forecasts f where {OF_CYCLE.format("f")} and f.model_id = :id limit 1
) f
left join lateral (
    select g.status, g.truth_jsonb from ground_truths g, shown where {OF_CYCLE.format("g")}
       and g.version = shown.truth_version limit 1
) g on true
left join lateral (
    select s.status, s.score_value, s.score_failed_reason from scores s, shown where {OF_CYCLE.format("s")}
       and s.model_id = :id and s.version = shown.version limit 1
) s on true
order by f.performed_at desc, f.prediction_config_id desc
"""


class ModelHistory:
    def __init__(self, database: Database) -> None:
        self._database = database

    def newest(self, model_id: str, most: int, until: datetime | None) -> Sequence[Any]:
        """Its forecasts in the newest `most` cycles (of those up to `until`), newest first, with truth and score in the
        version shown. `output` is None until the truth is known."""
        return self._database.read(NEWEST, id=model_id, most=most, until=until)
