"""What the report shows of the tape: its series, and the newest records of some of them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from coordinator_dagster.store import tape_status
from coordinator_dagster.store.database import Database

OF_SERIES = tape_status.OF_SERIES.format("m")
FEEDS = f"""
select s.provider, s.asset, s.kind, s.granularity, coalesce(c.record_count, 0) as record_count, s.complete_through,
       s.updated_at, ends.oldest, ends.newest
from market_ingestion_state s
left join market_record_counts c using (provider, asset, kind, granularity)
cross join lateral (select (select min(ts_event) from market_records m where {OF_SERIES}) as oldest,
                           (select max(ts_event) from market_records m where {OF_SERIES}) as newest) ends
where ends.newest is not null order by 1, 2, 3, 4
"""
# The newest of each series by its key: by time alone, there is no index.
TAIL = f"""
select m.provider, m.asset, m.kind, m.granularity, m.ts_event, m.ts_ingested, m.values_jsonb, m.meta_jsonb
from market_ingestion_state s
cross join lateral (select * from market_records m where {OF_SERIES} order by m.ts_event desc limit :most) m
where (cast(:provider as text) is null or s.provider = :provider)
  and (cast(:asset as text) is null or s.asset = :asset)
  and (cast(:kind as text) is null or s.kind = :kind)
  and (cast(:granularity as text) is null or s.granularity = :granularity)
order by m.ts_event desc, 1, 2, 3, 4 limit :most
"""


def feeds(database: Database) -> Sequence[Row[Any]]:
    """The series with records: how many, from when to when, and through when they are complete."""
    return database.read(FEEDS)


def tail(
    database: Database, provider: str | None, asset: str | None, kind: str | None, granularity: str | None, most: int
) -> Sequence[Row[Any]]:
    """The newest records, newest first; None: of any provider, asset, kind or granularity."""
    return database.read(TAIL, provider=provider, asset=asset, kind=kind, granularity=granularity, most=most)
