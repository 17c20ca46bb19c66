"""`checkpoints`, what ran last and runs next; and `emission_checkpoints`, the days' boards, each frozen once."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Row

from coordinator_dagster.stages.emission import EMISSION
from coordinator_dagster.store.database import Database


class CheckpointTables:
    def __init__(self, database: Database) -> None:
        self._database = database

    def ran(self, kind: str, interval_seconds: int, last_run_at: datetime, next_run_at: datetime | None) -> None:
        """Note when that kind ran, and when it runs next."""
        with self._database.transaction() as connection:
            connection.execute(
                text(
                    "insert into checkpoints (checkpoint_kind, interval_seconds, last_run_at, next_run_at) "
                    "values (:kind, :seconds, :last, :next) on conflict (checkpoint_kind) do update set "
                    " interval_seconds = excluded.interval_seconds, last_run_at = excluded.last_run_at, "
                    " next_run_at = excluded.next_run_at"
                ),
                {"kind": kind, "seconds": interval_seconds, "last": last_run_at, "next": next_run_at},
            )

    def unfrozen(self, day_ends: Sequence[datetime], window_starts: Sequence[datetime]) -> Sequence[Row[Any]]:
        """Of these days, each with its last window's start, those that are not frozen: `day_end, window_start, final`.

        `final` is that of the board shown, None where there is none. It costs one look at an index a day.
        """
        return self._database.read(
            "select d.day_end, d.window_start, l.final "
            "from unnest(cast(:ends as timestamptz[]), cast(:starts as timestamptz[])) d(day_end, window_start) "
            "left join leaderboards l on l.window_start = d.window_start "
            " and l.version = (select version from slot_versions where current) "
            "where not exists (select from emission_checkpoints e "
            " where e.checkpoint_id = (select id from checkpoints where checkpoint_kind = :kind) "
            " and e.emitted_at = d.day_end) order by 1",
            ends=list(day_ends),
            starts=list(window_starts),
            kind=EMISSION,
        )

    def freeze(self, day_end: datetime, window_start: datetime) -> None:
        """Keep the board shown of that window as the day's, if it is final and the day has none."""
        with self._database.transaction() as connection:
            connection.execute(
                text(
                    "insert into emission_checkpoints (checkpoint_id, emitted_at, payload_jsonb) "
                    "select c.id, :day_end, jsonb_build_object('entries', l.entries_jsonb, 'version', l.version, "
                    " 'window_start', l.window_start, 'computed_at', l.computed_at) "
                    "from checkpoints c, leaderboards l join slot_versions v on v.version = l.version and v.current "
                    "where c.checkpoint_kind = :kind and l.window_start = :start and l.final on conflict do nothing"
                ),
                {"day_end": day_end, "start": window_start, "kind": EMISSION},
            )

    def frozen(self, day_ends: Sequence[datetime]) -> dict[datetime, dict[str, Any]]:
        """What was kept of these days, by their end."""
        rows = self._database.read(
            "select e.emitted_at, e.payload_jsonb from emission_checkpoints e "
            "join checkpoints c on c.id = e.checkpoint_id and c.checkpoint_kind = :kind "
            "where e.emitted_at = any(:ends)",
            kind=EMISSION,
            ends=list(day_ends),
        )
        return {row.emitted_at: row.payload_jsonb for row in rows}
