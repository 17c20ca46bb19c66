"""How the tape stands: each series' ends, gaps, arrival and counts, for people."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from coordinator_dagster.store.database import Database
from coordinator_dagster.store.gap_queries import STANDING

NAME = "provider || '/' || asset || '/' || kind || '/' || granularity"
OF_SERIES = "({0}.provider, {0}.asset, {0}.kind, {0}.granularity) = (s.provider, s.asset, s.kind, s.granularity)"
SERIES = f"""
select {NAME} as series, jsonb_array_length(meta_jsonb->'covered') as stretches, complete_through, last_event_ts,
       (select count(*) from market_gaps g where {OF_SERIES.format("g")} and {STANDING}) as standing_gaps,
       arrival.median, arrival.slow
from market_ingestion_state s
cross join lateral (
    select percentile_cont(0.5) within group (order by lag) as median,
           percentile_cont(0.99) within group (order by lag) as slow
    from (select extract(epoch from known_at - event_end) * 1000 as lag from market_records m
          where {OF_SERIES.format("m")}
          order by ts_event desc limit :newest) newest
) arrival
order by 1
"""
GAP = f"select {NAME} as series, gap_start, gap_end, state, attempts, next_try_at, reason from market_gaps"
# Two looks, each by an index: those that have ended pile up.
GAPS = f"""
(({GAP} where {STANDING} order by gap_end desc limit :most)
 union all ({GAP} where state in ('QUIET', 'GIVEN_UP') order by gap_end desc limit :most)) limit :most
"""
FATES = f"select {NAME} as series, fate, count, last_at, last_detail from market_fates order by 1, 2"
NEWEST, MOST_GAPS = 1000, 20


class TapeStatus:
    def __init__(self, database: Database) -> None:
        self._database = database

    def series(self) -> Sequence[Row[Any]]:
        """Each series: in how many stretches it was answered (more than one: a hole between them), through when it is
        complete, its standing gaps, and how long the newest records took to be known (milliseconds)."""
        return self._database.read(SERIES, newest=NEWEST)

    def gaps(self) -> Sequence[Row[Any]]:
        """What is missing or was quiet, standing gaps first, the newest of each."""
        return self._database.read(GAPS, most=MOST_GAPS)

    def fates(self) -> Sequence[Row[Any]]:
        """How many records were not simply new, by what became of them."""
        return self._database.read(FATES)
