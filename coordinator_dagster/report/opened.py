"""What the endpoints read from, opened once for all of them."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from coordinator_dagster.competition import Competition
from coordinator_dagster.store.store import Store


@dataclass(frozen=True)
class Opened:
    """The competition and its tables, which may be missing before its first run."""

    competition: Competition
    store: Store


async def _opened(request: Request) -> Opened:
    found: Opened = request.app.state.opened
    return found


Here = Annotated[Opened, Depends(_opened)]
