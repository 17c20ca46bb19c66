"""`ground_truths`: one per cycle and version."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.engine import Row

from coordinator_dagster.stages.facts import Cycle, Truth, Unresolved
from coordinator_dagster.store.database import Database
from coordinator_dagster.windows import Window

COLUMNS = (
    "prediction_config_id",
    "performed_at",
    "version",
    "resolvable_at",
    "status",
    "reason",
    "truth_jsonb",
    "external",
    "order_id",
    "given_up",
)


def settling(windows: Sequence[Window]) -> dict[str, datetime]:
    """The parameters of `IN_WINDOWS`."""
    return {"start": windows[0].start, "end": windows[-1].end}


# The cycles that settling these windows is about: those performed in them, and earlier ones whose truth
# falls in them, so that the last cycles of a window are settled with the next.
# Each half is a range of an index, so it costs the same however long the history before and after is.
IN_WINDOWS = (
    "(c.performed_at >= :start and c.performed_at < :end or c.resolvable_at > :start and c.resolvable_at <= :end)"
)
SAME = "g.performed_at = c.performed_at and g.prediction_config_id = c.prediction_config_id"


def performed_since(database: Database, after: datetime, until: datetime) -> datetime:
    """Since when the cycles resolvable in `(after, until]` were performed, at the earliest.

    Forecasts and scores are kept by month of `performed_at`: with this bound a query reads the look-back's alone.
    """
    # Not min(performed_at): for that PostgreSQL walks all of history in order of performed_at.
    longest = database.read(
        "select max(resolvable_at - performed_at) as horizon from cycles "
        "where resolvable_at > :after and resolvable_at <= :until",
        after=after,
        until=until,
    )[0].horizon
    return after - longest if longest else after


class TruthTable:
    def __init__(self, database: Database) -> None:
        self._database = database

    def unresolved(self, windows: Sequence[Window], version: str) -> list[Unresolved]:
        """The performed cycles of these windows that have no truth in this version, in order of time."""
        rows = self._database.read(
            "select c.prediction_config_id, c.performed_at, c.resolvable_at, c.status, c.reason, c.cut_off, "
            " c.answer_by, c.scope_key, c.scope_jsonb, "
            f" (select max(reason) from ground_truths g where {SAME} and g.given_up) as given_up, "
            " k.version as kept_from, k.status as kept_status, k.reason as kept_reason, k.truth_jsonb, k.order_id, "
            " k.given_up as kept_given_up "
            "from cycles c cross join tape_expired e left join lateral ("
            f" select * from ground_truths g where {SAME} and not g.external and c.performed_at < e.cycles_from "
            " order by g.resolved_at desc limit 1) k on true "
            f"where {IN_WINDOWS} and c.status = 'PERFORMED' "
            f" and not exists (select from ground_truths g where {SAME} and g.version = :version) "
            "order by c.performed_at, c.prediction_config_id",
            **settling(windows),
            version=version,
        )
        return [_unresolved(row) for row in rows]

    def add(self, truths: Sequence[Truth], version: str) -> None:
        if not truths:
            return
        with self._database.transaction() as connection:
            self._database.copy_new(
                connection,
                "ground_truths",
                COLUMNS,
                (
                    (
                        one.cycle.config_id,
                        one.cycle.performed_at,
                        version,
                        one.cycle.resolvable_at,
                        one.status,
                        one.reason,
                        one.content,
                        one.external,
                        one.order,
                        one.given_up,
                    )
                    for one in truths
                ),
            )


def _unresolved(row: Row[Any]) -> Unresolved:
    cycle = Cycle(*row[:9])  # type: ignore[call-arg]
    if row.kept_from is None:
        return Unresolved(cycle, row.given_up)
    kept = Truth(
        cycle,
        row.kept_status,
        row.kept_reason,
        row.truth_jsonb,
        order=row.order_id,
        given_up=row.kept_given_up,
    )
    return Unresolved(cycle, row.given_up, kept, row.kept_from)
