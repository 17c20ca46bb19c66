"""`operator_orders`: given once, never changed; and what they supersede."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, text

from coordinator_dagster.orders import Order, OrderKind, Orders
from coordinator_dagster.store.database import Database

CYCLES = (
    "(cast(:config as text) is null or prediction_config_id = :config) "
    "and performed_at >= :first and performed_at <= :last and resolvable_at >= :resolvable_from"
)


class OrderTable:
    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, connection: Connection | None = None) -> Orders:
        """Every order so far; as that transaction sees it."""
        rows = self._database.read(
            "select id, kind, effective_at, until, model_id, prediction_config_id, reason, given_by, given_at, "
            " detail_jsonb from operator_orders order by effective_at, id",
            connection,
        )
        return Orders([Order(*row) for row in rows])

    def give(
        self,
        connection: Connection,
        kind: OrderKind,
        effective_at: datetime,
        reason: str,
        given_by: str,
        *,
        until: datetime | None = None,
        model_id: str | None = None,
        config_id: str | None = None,
        detail: Mapping[str, Any] | None = None,
        given_at: datetime | None = None,
    ) -> int:
        """Record an order, given now by the server's clock if nothing else is said; its number."""
        return connection.execute(
            text(
                "insert into operator_orders (kind, effective_at, until, model_id, prediction_config_id, reason, "
                " given_by, detail_jsonb, given_at) values (:kind, :effective_at, :until, :model_id, :config_id, "
                " :reason, :given_by, cast(:detail as jsonb), coalesce(:given_at, now())) returning id"
            ),
            {
                "kind": kind,
                "effective_at": effective_at,
                "until": until,
                "model_id": model_id,
                "config_id": config_id,
                "reason": reason,
                "given_by": given_by,
                "detail": orjson.dumps(dict(detail or {})).decode(),
                "given_at": given_at,
            },
        ).scalar_one()

    def supersede(
        self,
        connection: Connection,
        order: int,
        config_id: str | None,
        first: datetime,
        last: datetime,
        resolvable_from: datetime,
    ) -> tuple[datetime, datetime] | None:
        """Move the truths of these cycles, and their scores, out of what counts.

        Returns the first instant and the last moment of resolution among them; None: there were none.
        """
        cycles = {"config": config_id, "first": first, "last": last, "resolvable_from": resolvable_from}
        found: list[Any] = []
        for table in ("ground_truths", "scores"):
            history = f"superseded_{table.removeprefix('ground_')}"
            rows = connection.execute(
                text(
                    f"with old as (delete from {table} where {CYCLES} returning *) "
                    f"insert into {history} select old.*, cast(:order as bigint) from old "
                    "returning performed_at, resolvable_at"
                ),
                {**cycles, "order": order},
            ).all()
            found += rows
        if not found:
            return None
        return min(row.performed_at for row in found), max(row.resolvable_at for row in found)
