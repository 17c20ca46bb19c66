"""What the leaderboard page asks beside the newest board: whether it is another by now, and who stood where before."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from coordinator_dagster.store.database import Database

# Without the entries, which may be a megabyte: this is asked every few seconds.
STANDING = """
select l.window_start, l.computed_at, l.created_at, l.final,
       (select max(id) from operator_orders) as last_order,
       (select updated_at from report_schemas) as schema_at,
       exists (select from market_record_counts where record_count > 0) as has_feeds,
       (select date_trunc('minute', max(updated_at)) from market_ingestion_state) as tape_at
from (select) one
left join slot_versions v on v.current
left join lateral (
    select window_start, computed_at, created_at, final from leaderboards
    where version = v.version order by window_start desc limit 1
) l on true
"""


class BoardHistory:
    def __init__(self, database: Database) -> None:
        self._database = database

    def standing(self) -> Any:
        """The newest board without its entries (nulls: none), the last order, when the report's schema and the tape
        changed, and whether there is any record."""
        return self._database.read(STANDING)[0]

    def earlier_ranks(self, starts: Sequence[datetime]) -> tuple[datetime, dict[str, int | None]] | None:
        """Of the windows that start then the first with a board of the version shown: each model's rank; None: none."""
        for start in starts:
            rows = self._database.read(
                "select e.entry->>'model_id' as model_id, (e.entry->>'rank')::int as rank from leaderboards l "
                "join slot_versions v on v.version = l.version and v.current "
                "cross join jsonb_array_elements(l.entries_jsonb) e(entry) where l.window_start = :start",
                start=start,
            )
            if rows:
                return start, {row.model_id: row.rank for row in rows}
        return None
