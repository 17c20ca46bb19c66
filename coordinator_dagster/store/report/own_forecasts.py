"""A model's forecasts as its player may read them: with what it answered, and why it failed in its own words."""

from datetime import datetime

from coordinator_dagster.store.database import Database
from coordinator_dagster.store.report.boards import CURRENT
from coordinator_dagster.store.report.newest_cycles import NEWEST, OF_CYCLE, Asked, Page, nth_newest

LOOKED_AT = 5_000  # cycles at most for one page: a failure may be rare, and looking at one takes some microseconds
# `offset 0`, for its order: joined, a server without statistics reads whole months.
FORECASTS = f"""
with c as ({NEWEST})
select f.performed_at, f.prediction_config_id, f.scope_key, f.scope_jsonb as scope, f.resolvable_at, f.status,
       f.meta_jsonb->>'reason' as reason, f.meta_jsonb->>'raw' as raw, f.inference_output_jsonb as output,
       f.deployment, f.asked_at, f.answered_at, f.exec_time_ms, f.queued_ms,
       s.status as score_status, s.score_value, s.score_failed_reason, s.score_scored_at as scored_at
from c
cross join lateral (select * from forecasts f where {OF_CYCLE.format("f")} and f.model_id = :model offset 0) f
left join lateral (select * from scores s where {OF_CYCLE.format("s")} and s.model_id = :model
                     and s.version = {CURRENT} offset 0) s on true
where not :failed or f.status <> 'SUCCESS'
order by c.performed_at desc fetch first :limit rows with ties
"""
UNTOLD = ("ABSENT", "SUSPENDED")  # who was not there, or was not asked, has not been given the input
ASKED = """
select exists (select from forecasts f join models m on m.id = f.model_id
               where f.performed_at = :at and m.player_id = :player
                 and f.asked_at is not null and f.status <> all(:untold)) as asked
"""


class OwnForecasts:
    """There is no index by model: the newest cycles are walked, and the key of the forecast in each is looked up."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(self, model_id: str, asked: Asked, failed: bool, limit: int) -> Page:
        """Some `limit` forecasts, newest first; `failed`: only those without SUCCESS."""
        oldest = nth_newest(self._database, asked, LOOKED_AT)
        found = self._database.read(FORECASTS, **vars(asked), oldest=oldest, model=model_id, failed=failed, limit=limit)
        rows = [row._asdict() for row in found]
        rows.sort(key=lambda row: (-row["performed_at"].timestamp(), row["prediction_config_id"]))
        return Page(rows, rows[-1]["performed_at"] if len(rows) >= limit else oldest)

    def was_asked(self, player_id: str, at: datetime) -> bool:
        """Whether a model of that player was given the input of that instant."""
        return self._database.read(ASKED, at=at, player=player_id, untold=list(UNTOLD))[0].asked is True
