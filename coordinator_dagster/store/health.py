"""What the operator's readings ask: how the last hour went and what waits. No statement costs more with age."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row

from coordinator_dagster.store.database import Database
from coordinator_dagster.store.gap_queries import STANDING
from coordinator_dagster.store.tape_status import OF_SERIES

Rows = Sequence[Row[Any]]
# After a day a truth is given up. What is older than two and still has none is left to the check `unresolved`.
UNSETTLED_SPAN = timedelta(hours=48)

LEASES = """
select name, holder, acquired_at, expires_at > clock_timestamp() as alive from leases
where name = :work or starts_with(name, :claim)
"""
# One row a config, and one for all of them (config null). Not `lost`: what was paused, and what was due before the
# first cycle that anybody performed.
CYCLES = """
with first as (select min(performed_at) as at from cycles where status = 'PERFORMED'),
recent as (
    select prediction_config_id as config, performed_at, status, reason, reason like 'paused: %' as paused,
           extract(epoch from dispatched_at - performed_at)::float8 as dispatched,
           extract(epoch from stored_at - performed_at)::float8 as stored,
           status = 'MISSED' and reason not like 'paused: %'
             and performed_at >= coalesce((select at from first), '-infinity') as lost
    from cycles where performed_at > :since and performed_at <= :now
)
select config, count(*) filter (where status = 'PERFORMED') as performed, count(*) filter (where lost) as missed,
       count(*) filter (where lost and performed_at > :lately) as missed_lately,
       count(*) filter (where status = 'MISSED' and paused) as paused,
       mode() within group (order by split_part(reason, ':', 1)) filter (where lost) as reason,
       percentile_cont(array[0.5, 0.99]) within group (order by dispatched) as dispatched,
       percentile_cont(array[0.5, 0.99]) within group (order by stored) as stored
from recent group by grouping sets ((), (config)) order by config
"""
LAST = "select max(performed_at) as at from cycles where status = 'PERFORMED'"
ANSWERS = """
select model_id, status, count(*) as n from forecasts
where performed_at > :since and performed_at <= :now group by 1, 2 order by 1, 2
"""
SERIES = f"""
select provider, asset, kind, granularity, complete_through, g.gaps, g.oldest, g.reason
from market_ingestion_state s
cross join lateral (
    select count(*) as gaps, min(seen_at) as oldest, max(reason) as reason
    from market_gaps g where {OF_SERIES.format("g")} and {STANDING} offset 0
) g order by 1, 2, 3, 4
"""
# `offset 0`: truths are asked for one by one; joined, a server without statistics reads all there are.
UNSETTLED = """
select c.prediction_config_id as config, count(*) as cycles, min(c.resolvable_at) as oldest
from cycles c
left join lateral (select true as there from ground_truths g where g.performed_at = c.performed_at
                   and g.prediction_config_id = c.prediction_config_id limit 1 offset 0) g on true
where c.resolvable_at > :since and c.resolvable_at <= :now and c.status <> 'MISSED' and g.there is null
group by 1 order by 1
"""
SIZE = """
select coalesce(sum(pg_total_relation_size(oid)), 0)::bigint as bytes from pg_class
where relnamespace = to_regnamespace(current_schema())::oid and relkind in ('r', 'm')
"""


class HealthTable:
    """Moments are those of the competition's clock, but for leases, gaps' `oldest` and boards: the server's."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def leases(self, work: str, claim: str) -> Rows:
        """The lease of that name and those with the beginning: holder, since when, and whether it lives."""
        return self._database.read(LEASES, work=work, claim=claim)

    def cycles(self, since: datetime, lately: datetime, now: datetime) -> Rows:
        """What became of the cycles in `(since, now]`: counts, the most frequent reason, medians and 99th percentiles
        of the seconds from the instant to the last call, and to the commit."""
        return self._database.read(CYCLES, since=since, lately=lately, now=now)

    def last_performed(self) -> datetime | None:
        return self._database.read(LAST)[0].at

    def answers(self, since: datetime, now: datetime) -> Rows:
        """How many answers each model gave in `(since, now]`, by status."""
        return self._database.read(ANSWERS, since=since, now=now)

    def series(self) -> Rows:
        """Each series: through when it is complete; its standing gaps, when the oldest was seen, a reason."""
        return self._database.read(SERIES)

    def unsettled(self, now: datetime) -> Rows:
        """By config the cycles whose truth could be known and is not there, and when the oldest could have been."""
        return self._database.read(UNSETTLED, since=now - UNSETTLED_SPAN, now=now)

    def models(self) -> Rows:
        """Each model's state, why, and until when."""
        return self._database.read("select model_id, state, reason, until from model_states order by 1")

    def size(self) -> int:
        """Bytes of the schema, indexes and all."""
        return self._database.read(SIZE)[0].bytes
