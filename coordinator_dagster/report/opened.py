"""What the endpoints read from, opened once for all of them."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated

from fastapi import Depends, Request

from coordinator_dagster.clock import Clock, open_clock
from coordinator_dagster.competition import Competition
from coordinator_dagster.report.rendered import Kept
from coordinator_dagster.store.store import Store


@dataclass(frozen=True)
class Opened:
    """The competition, its tables, which may be missing before its first run, and what is kept of answers."""

    competition: Competition
    store: Store
    kept: Kept = field(default_factory=Kept)

    @cached_property
    def clock(self) -> Clock:
        return open_clock(self.competition.settings.clock_url)


async def _opened(request: Request) -> Opened:
    found: Opened = request.app.state.opened
    return found


Here = Annotated[Opened, Depends(_opened)]
