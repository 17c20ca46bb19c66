"""What the report shows of single cycles, newest first: from the cycles' key, each row by its own."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from coordinator_dagster.store.database import Database

# Whole instants: a page ends between two.
CHOSEN = (
    "select performed_at, prediction_config_id, scope_key, resolvable_at from cycles "
    "where status = 'PERFORMED' and performed_at >= :start and performed_at <= :end "
    "and (cast(:before as timestamptz) is null or performed_at < :before) "
    "order by performed_at desc fetch first (:cycles) rows with ties"
)
OF_CYCLE = "{0}.performed_at = c.performed_at and {0}.prediction_config_id = c.prediction_config_id"
# `offset 0`, for its order: joined, a server without statistics reads whole months.
PREDICTIONS = f"""
with chosen as ({CHOSEN})
select f.model_id, c.prediction_config_id, f.scope_key, f.scope_jsonb as scope, f.status, c.performed_at,
       s.status as score_status, s.score_value, coalesce(s.score_success, false) as score_success,
       s.score_failed_reason, s.score_scored_at as scored_at
from chosen c
cross join lateral (select model_id, scope_key, scope_jsonb, status from forecasts f where {OF_CYCLE.format("f")}
                    and (cast(:all as boolean) or f.model_id = any(:ids)) offset 0) f
left join lateral (select status, score_value, score_success, score_failed_reason, score_scored_at from scores s
                   where {OF_CYCLE.format("s")} and s.model_id = f.model_id
                     and s.version = (select version from slot_versions where current) offset 0) s on true
order by c.performed_at, c.prediction_config_id, f.model_id
"""
TRUTHS = f"""
with chosen as ({CHOSEN})
select c.prediction_config_id, c.scope_key, c.performed_at, c.resolvable_at, g.status, g.reason, g.truth_jsonb as truth,
       g.external, g.resolved_at
from chosen c
left join lateral (select status, reason, truth_jsonb, external, resolved_at from ground_truths g
                   where {OF_CYCLE.format("g")} order by g.version = (
                     select detail_jsonb->>'truth_version' from slot_versions where current) desc, g.resolved_at desc
                   limit 1) g on true
order by c.performed_at, c.prediction_config_id
"""


def predictions(
    database: Database,
    start: datetime,
    end: datetime,
    before: datetime | None,
    ids: Sequence[str],
    most: int,
) -> Sequence[Row[Any]]:
    """The newest forecasts of `[start, end]` with the scores that are shown, some `most` of them, by time.

    `before`: only of older instants. No `ids`: of all models.
    """
    each = len(ids) or database.read("select count(*) as n from models")[0].n
    return database.read(
        PREDICTIONS,
        start=start,
        end=end,
        before=before,
        ids=list(ids),
        all=not ids,
        cycles=max(1, most // max(1, each)),
    )


def truths(
    database: Database, start: datetime, end: datetime, before: datetime | None, most: int
) -> Sequence[Row[Any]]:
    """The newest cycles of `[start, end]` with the truth of the version that is shown, by time."""
    return database.read(TRUTHS, start=start, end=end, before=before, cycles=most)
