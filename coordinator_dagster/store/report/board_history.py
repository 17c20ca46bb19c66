"""What the pages ask beside the whole newest board: whether it is another by now, one entry, who stood where before."""

from datetime import datetime, timedelta
from typing import Any

from coordinator_dagster.store.database import Database

BEFORE_HOURS = (24, 6, 1)  # against the first of these boards that is there ranks are compared
# Without the entries, which may be a megabyte: this is asked every few seconds. `tape_at` is another one each minute in
# which the tape grows, and once more when it has stopped: what came last is not missed.
STANDING = """
select l.window_start, l.computed_at, l.created_at, l.final,
       (select max(created_at) from unnest(cast(:before as int[])) hours cross join lateral (
            select created_at from leaderboards
            where version = v.version and window_start = l.window_start - make_interval(hours => hours) offset 0
        ) before) as before_at,
       (select max(id) from operator_orders) as last_order,
       (select updated_at from report_schemas) as schema_at,
       (select max(performed_at) from cycles where status = 'PERFORMED') as last_instant,
       exists (select from scheduled_prediction_configs) as scheduled,
       exists (select from market_record_counts where record_count > 0) as has_feeds,
       (select (date_trunc('minute', max(updated_at)), max(updated_at) < now() - interval '1 minute')::text
        from market_ingestion_state) as tape_at
from (select) one
left join slot_versions v on v.current
left join lateral (
    select window_start, computed_at, created_at, final from leaderboards
    where version = v.version order by window_start desc limit 1
) l on true
"""
ENTRY = """
select one.own, one.ranked from leaderboards l join slot_versions v on v.version = l.version and v.current
cross join lateral (
    select coalesce(jsonb_agg(entry) filter (where entry->>'model_id' = :model), '[]') as own,
           count(*) filter (where entry->>'rank' is not null) as ranked
    from jsonb_array_elements(l.entries_jsonb) entry
) one
where l.window_start = :start
"""


class BoardHistory:
    def __init__(self, database: Database) -> None:
        self._database = database

    def standing(self) -> Any:
        """The newest board without its entries (nulls: none), when those it is compared with, the report's schema and
        the tape changed, the last order and instant, and whether there is any config and record."""
        return self._database.read(STANDING, before=list(BEFORE_HOURS))[0]

    def entry(self, start: datetime, model_id: str) -> tuple[list[dict[str, Any]], int]:
        """The model's entry on the board shown of the window that starts then ([]: none), and how many are ranked."""
        rows = self._database.read(ENTRY, start=start, model=model_id)
        return (rows[0].own, rows[0].ranked) if rows else ([], 0)

    def earlier_ranks(self, newest: datetime) -> tuple[datetime, dict[str, int | None]] | None:
        """The start of the board of the version shown that the newest is compared with, and each model's rank on it;
        None: there is none."""
        for start in (newest - timedelta(hours=hours) for hours in BEFORE_HOURS):
            rows = self._database.read(
                "select e.entry->>'model_id' as model_id, (e.entry->>'rank')::int as rank from leaderboards l "
                "join slot_versions v on v.version = l.version and v.current "
                "cross join jsonb_array_elements(l.entries_jsonb) e(entry) where l.window_start = :start",
                start=start,
            )
            if rows:
                return start, {row.model_id: row.rank for row in rows}
        return None
