"""What anybody may see of single cycles: scores of the forecasts, and truths."""

from collections.abc import Sequence

from coordinator_dagster.store.database import Database
from coordinator_dagster.store.report.boards import CURRENT
from coordinator_dagster.store.report.newest_cycles import NEWEST, OF_CYCLE, Asked, Page, nth_newest

# `offset 0`, for its order: joined, a server without statistics reads whole months.
PREDICTIONS = f"""
with c as ({NEWEST})
select f.model_id, c.prediction_config_id, f.scope_key, f.scope_jsonb as scope, f.status, c.performed_at,
       s.status as score_status, s.score_value, coalesce(s.score_success, false) as score_success,
       s.score_failed_reason, s.score_scored_at as scored_at
from c
cross join lateral (select model_id, scope_key, scope_jsonb, status from forecasts f where {OF_CYCLE.format("f")}
                    and (cast(:all as boolean) or f.model_id = any(:ids)) offset 0) f
left join lateral (select status, score_value, score_success, score_failed_reason, score_scored_at from scores s
                   where {OF_CYCLE.format("s")} and s.model_id = f.model_id
                     and s.version = {CURRENT} offset 0) s on true
order by c.performed_at, c.prediction_config_id, f.model_id
"""
TRUTHS = f"""
with c as ({NEWEST})
select c.prediction_config_id, c.scope_key, c.performed_at, c.resolvable_at, g.status, g.reason, g.truth_jsonb as truth,
       g.external, g.resolved_at
from c
left join lateral (select status, reason, truth_jsonb, external, resolved_at from ground_truths g
                   where {OF_CYCLE.format("g")} and g.version = coalesce((
                     select detail_jsonb->>'truth_version' from slot_versions where current), g.version)
                   order by g.resolved_at desc limit 1) g on true
order by c.performed_at, c.prediction_config_id
"""


def predictions(database: Database, asked: Asked, ids: Sequence[str], most: int) -> Page:
    """The newest forecasts with the scores that are shown, some `most` of them, by time. No `ids`: of all models."""
    models = len(ids) or database.read("select count(*) as n from models")[0].n
    oldest = nth_newest(database, asked, max(1, most // max(1, models)))
    rows = database.read(PREDICTIONS, **vars(asked), oldest=oldest, ids=list(ids), all=not ids)
    return Page([row._asdict() for row in rows], oldest)


def truths(database: Database, asked: Asked, most: int) -> Page:
    """The newest cycles that were performed, some `most` of them, with the truth of the version shown, by time."""
    oldest = nth_newest(database, asked, most)
    rows = database.read(TRUTHS, **vars(asked), oldest=oldest)
    return Page([row._asdict() for row in rows], oldest)
