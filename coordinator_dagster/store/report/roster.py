"""Who takes part: the models with their players and states."""

from datetime import datetime
from typing import NamedTuple

from coordinator_dagster.store.database import Database

ENTRANTS = (
    "select m.id, m.name, m.deployment_identifier as deployment, m.player_id, m.player_name, m.joined_at, "
    " s.state, s.since, s.reason, s.until from models m join model_states s on s.model_id = m.id"
)


class Entrant(NamedTuple):
    """A model. `reason` may hold what it raised, where it is suspended: that is its player's."""

    id: str
    name: str
    deployment: str
    player_id: str
    player_name: str
    joined_at: datetime | None
    state: str
    since: datetime | None
    reason: str | None
    until: datetime | None


class RosterTable:
    def __init__(self, database: Database) -> None:
        self._database = database

    def entrants(self) -> list[Entrant]:
        """All models, by id."""
        return [Entrant(**row._mapping) for row in self._database.read(f"{ENTRANTS} order by m.id")]

    def entrant(self, model_id: str) -> Entrant | None:
        """One model; None when there is none."""
        rows = self._database.read(f"{ENTRANTS} where m.id = :id", id=model_id)
        return Entrant(**rows[0]._mapping) if rows else None

    def players(self) -> list[str]:
        """The ids of those who have a model."""
        return [row.player_id for row in self._database.read("select distinct player_id from models order by 1")]

    def player_of(self, model_id: str) -> str | None:
        """Whose model that is; None when there is none."""
        rows = self._database.read("select player_id from models where id = :id", id=model_id)
        return rows[0].player_id if rows else None
