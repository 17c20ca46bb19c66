"""What the report shows of boards and metrics. No statement costs more with age: each begins at the newest."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row

from coordinator_dagster.store.database import Database
from slots.tape import boundary

CURRENT = "(select version from slot_versions where current)"
# What changes whenever something does that a leaderboard shows: a board, a name, a state.
STAMP = f"""
select l.id, l.created_at, (select max(updated_at) from models), (select max(id) from operator_orders),
       (select max(performed_at) from cycles where status = 'PERFORMED')
from (select 1) always
left join lateral (select id, created_at from leaderboards where version = {CURRENT}
                   order by window_start desc limit 1) l on true
"""
# A board inside its window is of the moment it was made; `now` is still to come.
SHOWN_AT = "least(l.computed_at, l.created_at)"
# Lateral, and `offset 0` for its order: joined, a server without statistics reads the scores of all of history.
SNAPSHOT = (
    f"select m.model_id, m.score, {SHOWN_AT} as at from unnest(cast(:starts as timestamptz[])) w(start) "
    "cross join lateral (select * from leaderboards l "
    f" where l.window_start = w.start and l.version = {CURRENT} offset 0) l "
    "cross join lateral (select model_id, score_payload_jsonb->'score' as score from model_scores m "
    " where m.window_start = l.window_start and m.version = l.version "
    "  and (cast(:all as boolean) or m.model_id = any(:ids)) offset 0) m order by w.start, m.model_id"
)


def board_stamp(database: Database) -> tuple[Any, ...]:
    """Equal while no board, name or state has changed."""
    return tuple(database.read(STAMP)[0])


def newest(database: Database) -> datetime | None:
    """Of what the last instant or the last board is, whichever is later; None: there is neither yet."""
    return database.read(
        "select greatest((select max(performed_at) from cycles where status = 'PERFORMED'), "
        f" (select {SHOWN_AT} from leaderboards l where version = {CURRENT} order by window_start desc limit 1)) as at"
    )[0].at


def metrics_at(database: Database, start: datetime, end: datetime, ids: Sequence[str]) -> Sequence[Row[Any]]:
    """Each model's score on the newest board of `[start, end]`; no `ids`: of all models."""
    rows = database.read(
        f"select window_start from leaderboards l where version = {CURRENT} and window_start <= :end "
        f"and {SHOWN_AT} >= :start order by window_start desc limit 1",
        start=start,
        end=end,
    )
    return _snapshots(database, [row.window_start for row in rows], ids)


def metrics_between(
    database: Database, start: datetime, end: datetime, ids: Sequence[str], length: timedelta, most: int
) -> Sequence[Row[Any]]:
    """Each model's score on the boards of `[start, end]`, by time; every n-th board, so that it is `most` rows."""
    first, last, count = database.read(
        "select (select min(window_start) from leaderboards), "
        f" (select max(window_start) from leaderboards where version = {CURRENT}), (select count(*) from models)"
    )[0]
    if last is None:
        return []
    newest, oldest = min(boundary(end, length), last), max(boundary(start, length), first)
    windows = (newest - oldest) // length + 1
    step = max(1, -(-windows * (len(ids) or count) // most))
    return _snapshots(database, [newest - n * step * length for n in range(-(-windows // step))], ids)


def _snapshots(database: Database, starts: Sequence[datetime], ids: Sequence[str]) -> Sequence[Row[Any]]:
    return database.read(SNAPSHOT, starts=list(starts), ids=list(ids), all=not ids)


def scores_by_scope(database: Database, ids: Sequence[str]) -> Sequence[Row[Any]]:
    """The newest scores of each model and scope, `at` the board they were made for."""
    return database.read(
        "select m.id as model_id, one.scope_key, one.score, "
        " least((m.meta_jsonb->>'scored_through')::timestamptz, m.updated_at) as at "
        "from models m cross join lateral jsonb_to_recordset(m.scores_by_scope_jsonb) one(scope_key text, score jsonb) "
        "where cast(:all as boolean) or m.id = any(:ids) order by 1, 2",
        ids=list(ids),
        all=not ids,
    )


def scopes(database: Database, newest: int) -> dict[str, dict[str, Any]]:
    """The scope of each key, as the newest cycles had it."""
    rows = database.read(
        "select distinct on (scope_key) scope_key, scope_jsonb "
        "from (select * from cycles where status = 'PERFORMED' order by performed_at desc limit :newest) newest "
        "order by scope_key, performed_at desc",
        newest=newest,
    )
    return {row.scope_key: row.scope_jsonb for row in rows}
