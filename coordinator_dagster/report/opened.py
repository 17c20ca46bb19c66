"""What the endpoints read from, opened once for all of them."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any

from fastapi import Depends, Request

from coordinator_dagster.clock import Clock, open_clock
from coordinator_dagster.competition import Competition
from coordinator_dagster.report.problems import Refused
from coordinator_dagster.report.rendered import Kept
from coordinator_dagster.report.turns import Turns
from coordinator_dagster.store.database import Database
from coordinator_dagster.store.migrating import newest_revision
from coordinator_dagster.store.store import Store

OTHER_VERSION = (
    "the tables are of another version of the coordinator; run this one there (`coordinator leaderboard` brings older "
    "tables up to date), or start the report of the version that made them"
)


@dataclass
class Opened:
    """The competition and its tables, which may be missing before its first run."""

    competition: Competition
    store: Store
    schema: dict[str, Any]  # the slot's, for as long as none has been materialized
    kept: Kept = field(default_factory=Kept)
    turns: Turns = field(default_factory=Turns)
    _begun: bool = False

    @cached_property
    def clock(self) -> Clock:
        """The competition's."""
        return open_clock(self.competition.settings.clock_url)

    @property
    def database(self) -> Database:
        return self.store.database

    @property
    def begun(self) -> bool:
        """Whether its tables are there: before its first run it has nothing to show. Refused: they are of another
        version."""
        if not self._begun:
            revision = self.database.revision()
            if revision not in (None, newest_revision()):
                raise Refused(503, OTHER_VERSION)
            self._begun = revision is not None
        return self._begun

    def look_again(self) -> None:
        """The tables are not what they were."""
        self._begun = False


async def _opened(request: Request) -> Opened:
    found: Opened = request.app.state.opened
    return found


Here = Annotated[Opened, Depends(_opened)]
