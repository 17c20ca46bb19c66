"""How things stand: the newest board, the next instant, and a stamp that changes when a page would."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from coordinator_dagster.report.opened import Opened
from coordinator_dagster.store.report.board_history import BoardHistory


@dataclass(frozen=True)
class Board:
    """The newest board's window, when it was last changed, and whether it may still change."""

    start: datetime
    end: datetime
    changed_at: datetime
    final: bool


@dataclass(frozen=True)
class Standing:
    """`board` None: there is none yet. `next_instant` None: nothing is to come, as in a replay.

    `stamp` changes with the board, `tape_stamp` at most once a minute with the tape; both are empty before the first
    run.
    """

    board: Board | None = None
    next_instant: datetime | None = None
    cadence: timedelta | None = None
    has_feeds: bool = False
    stamp: str = ""
    tape_stamp: str = ""

    @property
    def begun(self) -> bool:
        """The competition has tables to read."""
        return self.stamp != ""


def standing(here: Opened) -> Standing:
    """As it is now; some milliseconds."""
    if not here.begun:
        return Standing()
    row = BoardHistory(here.store.database).standing()
    board = Board(row.window_start, row.computed_at, row.created_at, row.final) if row.window_start else None
    coming, cadence = _coming(here)
    return Standing(
        board,
        coming,
        cadence,
        row.has_feeds,
        _stamp(row.window_start, row.created_at, row.last_order, row.schema_at),
        _stamp(row.tape_at),
    )


def _coming(here: Opened) -> tuple[datetime | None, timedelta | None]:
    """The next instant, and how long after the one before it that is; a replay has no present to wait in."""
    if here.competition.settings.mode != "live":
        return None, None
    schedule, now = here.store.schedule(here.competition), here.clock.now()
    coming = schedule.next_instant(now)
    if coming is None or schedule.orders.pause(coming):
        return None, None
    return coming, min(config.every for config in schedule.standing(coming))


def _stamp(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
