"""`leases`: who works now. A lease is renewed every few seconds and free again once it has run out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import text

from coordinator_dagster.store.database import Database

RENEW_SECONDS = 2.0
EXPIRE_SECONDS = 10.0
# The server's clock decides, for all machines alike; real seconds, whatever clock the competition follows.
UNTIL = f"clock_timestamp() + interval '{EXPIRE_SECONDS} seconds'"
SEIZED_UNTIL = "clock_timestamp() + interval '30 seconds'"
NEVER = "timestamptz 'epoch'"  # who waits for a lease that is renewed gives up
# Leases run out while the server is away: their holders find it again first, for they renew and try more often.
LONG_UP = f"pg_postmaster_start_time() < clock_timestamp() - interval '{2 * RENEW_SECONDS} seconds'"

HOLD = (
    "insert into leases as l (name, holder, acquired_at, renewed_at, expires_at) "
    f"select name, :holder, clock_timestamp(), {NEVER}, {SEIZED_UNTIL} from unnest(cast(:names as text[])) as name "
    "on conflict (name) do update set holder = excluded.holder, renewed_at = excluded.renewed_at, "
    " expires_at = excluded.expires_at, "
    " acquired_at = case when l.holder = excluded.holder then l.acquired_at else excluded.acquired_at end"
)
COLUMNS = "name, holder, renewed_at, expires_at > clock_timestamp() as alive, meta_jsonb as meta"
DISMISSED = "dismissed"


@dataclass(frozen=True)
class Lease:
    """A lease as it stands. `meta` is what its last holder left for the next, or what its holder is told."""

    name: str
    holder: str
    renewed_at: datetime
    alive: bool
    meta: dict[str, Any]

    @property
    def restoring(self) -> bool:
        """Whether a restore has it."""
        return self.alive and self.renewed_at.timestamp() == 0

    @property
    def dismissed(self) -> str | None:
        """Why its holder is asked to make way, if it is."""
        told = self.meta.get(DISMISSED, {})
        return told["why"] if told.get("holder") == self.holder else None


class LeaseTable:
    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, name: str, holder: str) -> bool:
        """Become the holder where nobody is, or keep on being it; False while somebody else is."""
        with self._database.transaction() as connection:
            return bool(
                connection.execute(
                    text(
                        "insert into leases (name, holder, acquired_at, renewed_at, expires_at) "
                        f"values (:name, :holder, clock_timestamp(), clock_timestamp(), {UNTIL}) "
                        "on conflict (name) do update set holder = excluded.holder, renewed_at = clock_timestamp(), "
                        f" acquired_at = clock_timestamp(), expires_at = {UNTIL} "
                        "where leases.holder = excluded.holder "
                        f" or (leases.expires_at <= clock_timestamp() and {LONG_UP})"
                    ),
                    {"name": name, "holder": holder},
                ).rowcount
            )

    def renew(self, name: str, holder: str) -> Lease | None:
        """Hold it for another while, also when it had run out and nobody took it; None: somebody else has it."""
        with self._database.transaction() as connection:
            row = connection.execute(
                text(
                    f"update leases set renewed_at = clock_timestamp(), expires_at = {UNTIL} "
                    f"where name = :name and holder = :holder returning {COLUMNS}"
                ),
                {"name": name, "holder": holder},
            ).one_or_none()
        return Lease(*row) if row else None

    def dismiss(self, name: str, holder: str, why: str) -> None:
        """Ask its holder to make way; it finds that when it next renews. Whoever comes after is not meant."""
        told = orjson.dumps({DISMISSED: {"holder": holder, "why": why}}).decode()
        with self._database.transaction() as connection:
            connection.execute(
                text(
                    "update leases set meta_jsonb = meta_jsonb || cast(:told as jsonb) "
                    "where name = :name and holder = :holder"
                ),
                {"name": name, "holder": holder, "told": told},
            )

    def release(self, name: str, holder: str, meta: dict[str, Any] | None = None) -> None:
        """Let the next one have it at once, with what it should know."""
        with self._database.transaction() as connection:
            connection.execute(
                text(
                    "update leases set expires_at = clock_timestamp(), meta_jsonb = cast(:meta as jsonb) "
                    "where name = :name and holder = :holder and expires_at > clock_timestamp()"
                ),
                {"name": name, "holder": holder, "meta": orjson.dumps(meta or {}).decode()},
            )

    def drop(self, name: str, holder: str) -> None:
        """Nobody will look for it any more."""
        with self._database.transaction() as connection:
            connection.execute(
                text("delete from leases where name = :name and holder = :holder"), {"name": name, "holder": holder}
            )

    def seize(self, names: Sequence[str], holder: str) -> list[str]:
        """Take these leases, and every other that is alive, from whoever has them; who had one that was alive.

        Held by `holder` they last longer than its renewals take, and do not show them.
        """
        with self._database.transaction() as connection:
            connection.execute(text("lock table leases in share row exclusive mode"))  # nobody takes one in between
            alive = connection.execute(
                text("select name, holder from leases where expires_at > clock_timestamp()")
            ).all()
            every = {"names": sorted({*names, *(row.name for row in alive)}), "holder": holder}
            connection.execute(text(HOLD), every)
        return sorted({row.holder for row in alive} - {holder})

    def hold(self, names: Sequence[str], holder: str) -> None:
        """Hold these for another while, where nobody else has them; in the same way."""
        with self._database.transaction() as connection:
            free = "l.holder = excluded.holder or l.expires_at <= clock_timestamp()"
            connection.execute(text(f"{HOLD} where {free}"), {"names": sorted(names), "holder": holder})

    def release_all(self, holder: str, name: str, meta: dict[str, Any]) -> None:
        """Let go of everything at once; `meta` is for who takes that name, the others are gone."""
        with self._database.transaction() as connection:
            connection.execute(
                text("delete from leases where holder = :holder and name <> :name"), {"holder": holder, "name": name}
            )
            connection.execute(
                text(
                    "update leases set expires_at = clock_timestamp(), meta_jsonb = cast(:meta as jsonb) "
                    "where holder = :holder and name = :name"
                ),
                {"holder": holder, "name": name, "meta": orjson.dumps(meta).decode()},
            )

    def read(self, name: str) -> Lease | None:
        rows = self._database.read(f"select {COLUMNS} from leases where name = :name", name=name)
        return Lease(*rows[0]) if rows else None

    def forget(self, prefix: str) -> None:
        """Remove those of that name's beginning that ran out a day ago."""
        with self._database.transaction() as connection:
            connection.execute(
                text("delete from leases where starts_with(name, :prefix) and expires_at < now() - interval '1 day'"),
                {"prefix": prefix},
            )
