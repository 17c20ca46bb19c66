"""What of the last hours is on the tape, for the feeds page: the cost is that of these hours."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from coordinator_dagster.store.database import Database
from coordinator_dagster.store.gap_queries import STANDING
from coordinator_dagster.store.tape_status import NAME, OF_SERIES

WITHIN = "gap_end > :since and gap_start < :until"
CANDLES = f"""
select {NAME} as series, h.hour, h.candles from market_ingestion_state s
cross join lateral (
    select date_bin('1 hour', ts_event, 'epoch') as hour, count(*) as candles from market_records m
    where {OF_SERIES.format("m")}
      and m.ts_event >= :since and m.ts_event < :until group by 1
) h
where s.kind = 'candle'
"""


class TapeHours:
    def __init__(self, database: Database) -> None:
        self._database = database

    def answered(self) -> Sequence[Any]:
        """Each series with the ranges `covered` that its feed has answered, `[[from, to], …]` as ISO texts."""
        return self._database.read(
            f"select {NAME} as series, kind, granularity, complete_through, last_event_ts, "
            " coalesce(meta_jsonb->'covered', '[]') as covered from market_ingestion_state order by 1"
        )

    def candles(self, since: datetime, until: datetime) -> dict[tuple[str, datetime], int]:
        """How many candles opened in each hour, by series and hour; an hour without any is absent."""
        rows = self._database.read(CANDLES, since=since, until=until)
        return {(row.series, row.hour): row.candles for row in rows}

    def missing(self, since: datetime, until: datetime) -> Sequence[Any]:
        """What of these hours is not there, and may have been: gaps that stand or were given up."""
        return self._database.read(
            f"select {NAME} as series, gap_start, gap_end from market_gaps where {STANDING} and {WITHIN} "
            f"union all select {NAME}, gap_start, gap_end from market_gaps where state = 'GIVEN_UP' and {WITHIN}",
            since=since,
            until=until,
        )
