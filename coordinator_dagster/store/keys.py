"""The keys of the report API: whose they are, and a hash of each."""

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import text

from coordinator_dagster.store.database import Database

READ = "select id, name, role, player_id, key_hash, created_at, revoked_at from api_keys"


@dataclass(frozen=True)
class StoredKey:
    """A key without what would let anybody use it. `role` is operator or participant, of the player `player_id`."""

    id: int
    name: str
    role: str
    player_id: str | None
    key_hash: memoryview = field(repr=False)
    created_at: datetime
    revoked_at: datetime | None


class KeyTable:
    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, name: str, role: str, player_id: str | None, key_hash: bytes) -> int | None:
        """The new key's id; None when there is, or was, one of that name."""
        with self._database.transaction() as connection:
            return connection.execute(
                text(
                    "insert into api_keys (name, role, player_id, key_hash) values (:name, :role, :player, :hash) "
                    "on conflict (name) do nothing returning id"
                ),
                {"name": name, "role": role, "player": player_id, "hash": key_hash},
            ).scalar_one_or_none()

    def revoke(self, name: str) -> None:
        """One that was revoked before stays as it was."""
        with self._database.transaction() as connection:
            connection.execute(
                text("update api_keys set revoked_at = now() where name = :name and revoked_at is null"), {"name": name}
            )

    def every(self) -> list[StoredKey]:
        """All there ever were, oldest first."""
        return [StoredKey(**row._mapping) for row in self._database.read(f"{READ} order by id")]

    def standing(self, id_: int) -> StoredKey | None:
        """The key of that id, unless it was revoked."""
        rows = self._database.read(f"{READ} where id = :id and revoked_at is null", id=id_)
        return StoredKey(**rows[0]._mapping) if rows else None
