"""How things stand: the newest board, the next instant, and a stamp that changes when a page would."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from coordinator_dagster.report.opened import Opened
from coordinator_dagster.store.report.board_history import BoardHistory

# Forecasts are overdue when so many instants have passed after the one that was awaited, and this long. A pause counts
# for nothing.
OVERDUE_CADENCES, PATIENCE = 2, timedelta(minutes=1)


@dataclass(frozen=True)
class Board:
    """The newest board's window, when it was last changed, and whether it may still change."""

    start: datetime
    end: datetime
    changed_at: datetime
    final: bool


@dataclass(frozen=True)
class Standing:
    """`board` None: there is none yet. `next_instant` None: nothing is to come, as in a replay. `last_instant` None: no
    forecast has been made. `overdue`: some were due since, and none was made. `scheduled`: it is known what is due.

    `stamp` changes with the board, `tape_stamp` about once a minute with the tape; both are empty before the first
    run.
    """

    board: Board | None = None
    next_instant: datetime | None = None
    cadence: timedelta | None = None
    last_instant: datetime | None = None
    overdue: bool = False
    scheduled: bool = False
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
    coming, cadence, overdue = _coming(here, row.last_instant)
    return Standing(
        board,
        coming,
        cadence,
        row.last_instant,
        overdue,
        row.scheduled,
        row.has_feeds,
        _stamp(row.window_start, row.created_at, row.before_at, row.last_order, row.schema_at, row.scheduled),
        _stamp(row.tape_at),
    )


def _coming(here: Opened, last: datetime | None) -> tuple[datetime | None, timedelta | None, bool]:
    """The next instant, how long after the one before it that is, and whether one is overdue; a replay has no present
    to wait in."""
    if here.competition.settings.mode != "live":
        return None, None, False
    schedule, now = here.store.schedule(here.competition), here.clock.now()
    coming = schedule.next_asked(now)
    if coming is None:
        return None, None, False
    cadence = min(config.every for config in schedule.standing(coming))
    awaited = schedule.next_asked(last or here.competition.start - PATIENCE)
    return coming, cadence, awaited is not None and now - awaited > OVERDUE_CADENCES * cadence + PATIENCE


def _stamp(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
