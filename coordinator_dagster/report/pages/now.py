"""`/clock`: the time, the next instant, and whether a page that is open shows what is."""

import time
from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, Field

from coordinator_dagster.report.opened import Here
from coordinator_dagster.report.pages.standing import standing
from coordinator_dagster.report.problems import answers

router = APIRouter(tags=["pages"])


class Now(BaseModel):
    """Moments are in UTC. Before the first board `computed_at` and `final` are null."""

    now: datetime = Field(examples=["2026-01-05T12:00:03.250000Z"])
    next_instant: datetime | None = Field(
        description="when models are asked next; null: never, as in a replay", examples=["2026-01-05T12:00:15Z"]
    )
    cadence_seconds: float | None = Field(description="from one instant to the next", examples=[15.0])
    last_instant: datetime | None = Field(
        description="for which forecasts were made last; null: for none", examples=["2026-01-05T12:00:00Z"]
    )
    overdue: bool = Field(description="several instants have passed since without a forecast", examples=[False])
    computed_at: datetime | None = Field(
        description="the end of the window that the newest board is of", examples=["2026-01-05T13:00:00Z"]
    )
    final: bool | None = Field(description="false: the board may still change", examples=[False])
    stamp: str = Field(description="another one: the leaderboard has changed", examples=["5d41402abc4b2a76"])
    tape_stamp: str = Field(
        description="another one: the feeds have changed; about once a minute", examples=["7d793037a0760186"]
    )


@router.get("/clock", responses=answers())
def clock(here: Here) -> Now:
    """How things stand; cheap enough to be asked every few seconds by everybody who looks."""
    # Many may look: they share what was read within the second.
    found = here.kept.get("standing", int(time.monotonic()), lambda: standing(here))
    board = found.board
    return Now(
        now=here.clock.now(),
        next_instant=found.next_instant,
        cadence_seconds=found.cadence.total_seconds() if found.cadence else None,
        last_instant=found.last_instant,
        overdue=found.overdue,
        computed_at=board.end if board else None,
        final=board.final if board else None,
        stamp=found.stamp,
        tape_stamp=found.tape_stamp,
    )
