"""What the endpoints read from, opened once for all of them."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any

from fastapi import Depends, Request

from coordinator_dagster.clock import Clock, open_clock
from coordinator_dagster.competition import Competition
from coordinator_dagster.report.rendered import Kept
from coordinator_dagster.store.database import Database
from coordinator_dagster.store.store import Store

NEWEST_TABLE = "market_record_counts"  # the last that a migration made


@dataclass
class Opened:
    """The competition and its tables, which may be missing before its first run."""

    competition: Competition
    store: Store
    schema: dict[str, Any]  # the slot's, for as long as none has been materialized
    kept: Kept = field(default_factory=Kept)
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
        """Whether its tables are there: before its first run it has nothing to show."""
        self._begun = self._begun or self.database.has(NEWEST_TABLE)
        return self._begun


async def _opened(request: Request) -> Opened:
    found: Opened = request.app.state.opened
    return found


Here = Annotated[Opened, Depends(_opened)]
