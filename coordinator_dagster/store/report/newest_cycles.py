"""The newest performed cycles of a span, for what is read of each by its key: no index by model is needed."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from coordinator_dagster.store.database import Database

Record = dict[str, Any]
SPAN = (
    "status = 'PERFORMED' and (cast(:start as timestamptz) is null or performed_at >= :start) "
    "and (cast(:end as timestamptz) is null or performed_at <= :end) "
    "and (cast(:before as timestamptz) is null or performed_at < :before)"
)
NTH = f"select performed_at as at from cycles where {SPAN} order by performed_at desc offset :n limit 1"
# The cycles from there on, whole instants.
NEWEST = (
    f"select * from cycles where {SPAN} and (cast(:oldest as timestamptz) is null or performed_at >= :oldest) "
    "order by performed_at desc"
)
OF_CYCLE = "{0}.performed_at = c.performed_at and {0}.prediction_config_id = c.prediction_config_id"


@dataclass(frozen=True)
class Asked:
    """Performed cycles of `start <= t <= end`, `t < before`; None: no bound."""

    start: datetime | None = None
    end: datetime | None = None
    before: datetime | None = None


@dataclass(frozen=True)
class Page:
    """`rows`, whole instants. `older`: what is before it has not been looked at; None: nothing is left."""

    rows: list[Record]
    older: datetime | None


def nth_newest(database: Database, asked: Asked, count: int) -> datetime | None:
    """The instant of the `count`th newest cycle; None: there are not so many."""
    rows = database.read(NTH, **vars(asked), n=count - 1)
    return rows[0].at if rows else None
