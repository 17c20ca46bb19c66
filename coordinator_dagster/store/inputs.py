"""`inference_inputs`: what every model was given, one an instant."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from coordinator_dagster.stages.facts import StoredInput
from coordinator_dagster.stages.numbers import same_json
from coordinator_dagster.store.database import Database
from coordinator_dagster.windows import Window

AT_HAND = 2_000  # inputs kept in memory, at most: some 25 MB of the default ones


class InputTable:
    """Facts: written once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._just_built: dict[datetime, StoredInput] = {}  # asked next, as a rule, and long to read

    def of(self, window: Window) -> dict[datetime, StoredInput]:
        """The window's inputs by instant, each payload byte for byte as it was built.

        But for floats without a fraction of 1e16 and more, and -0.0: PostgreSQL gives them back as integers, and as 0.
        """
        instants = self.instants(window)
        if instants <= self._just_built.keys():
            return {t: self._just_built.pop(t) for t in sorted(instants)}
        rows = self._database.read(
            "select performed_at, cut_off, payload_jsonb::text as payload from inference_inputs "
            "where performed_at >= :start and performed_at < :end order by performed_at",
            start=window.start,
            end=window.end,
        )
        return {
            row.performed_at: StoredInput(row.performed_at, row.cut_off, same_json(row.payload.encode()))
            for row in rows
        }

    def instants(self, window: Window) -> set[datetime]:
        """The instants of the window that have their input."""
        rows = self._database.read(
            "select performed_at from inference_inputs where performed_at >= :start and performed_at < :end",
            start=window.start,
            end=window.end,
        )
        return {row.performed_at for row in rows}

    def add(self, inputs: Sequence[StoredInput]) -> None:
        with self._database.transaction() as connection:
            new = self._database.copy_new(
                connection,
                "inference_inputs",
                ("performed_at", "cut_off", "payload_jsonb"),
                ((one.performed_at, one.cut_off, one.payload) for one in inputs),
            )
        if new == len(inputs) and new + len(self._just_built) <= AT_HAND:
            self._just_built |= {one.performed_at: one for one in inputs}
        else:
            self._just_built.clear()

    def cut_offs(self, window: Window) -> dict[datetime, datetime]:
        """A replay of a live competition: when the window's inputs were cut off there."""
        rows = self._database.read(
            "select performed_at, cut_off from cut_offs where performed_at >= :start and performed_at < :end",
            start=window.start,
            end=window.end,
        )
        return {row.performed_at: row.cut_off for row in rows}

    def read(self, performed_at: datetime) -> dict[str, Any]:
        """One instant's input, as a dict; empty when there is none."""
        rows = self._database.read(
            "select payload_jsonb from inference_inputs where performed_at = :at", at=performed_at
        )
        return rows[0].payload_jsonb if rows else {}
