"""Freeze each UTC day's final board: what rewards are paid by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from coordinator_dagster.clock import Clock
from coordinator_dagster.competition import Competition
from coordinator_dagster.windows import LENGTHS, Window

if TYPE_CHECKING:
    from coordinator_dagster.store.store import Store

EMISSION = "emission"  # the kind of its row in `checkpoints`
DAY = LENGTHS["day"]
NO_BOARD = "its last window has no board in the version shown"
INTERIM = "its last board is interim: cycles of the look-back have not ended"


@dataclass
class EmissionReport:
    """Days frozen now and before, and those that wait, with the reason; by the day's partition key."""

    frozen: list[str] = field(default_factory=list)
    kept: int = 0
    waiting: dict[str, str] = field(default_factory=dict)


def emit(competition: Competition, store: Store, clock: Clock, days: Sequence[Window] | None = None) -> EmissionReport:
    """Freeze the board of the last window of every day that is over (or of these days), where it is final.

    A day is frozen once: what is settled or ordered later changes it no more.
    """
    now, report = clock.now(), EmissionReport()
    last_windows = days_over(competition, store, now)
    for day in days or ():
        if day not in last_windows:
            report.waiting[day.key] = "it is not over, or not a day of the competition"
    asked = [day for day in last_windows if days is None or day in days]
    unfrozen = store.checkpoints.unfrozen([day.end for day in asked], [last_windows[day] for day in asked])
    report.kept = len(asked) - len(unfrozen)
    if any(row.final for row in unfrozen):
        store.checkpoints.ran(EMISSION, int(DAY.total_seconds()), now, competition.days.at(now).end)
    for row in unfrozen:
        key = Window(row.day_end - DAY, row.day_end).key
        if row.final:
            store.checkpoints.freeze(row.day_end, row.window_start)
            report.frozen.append(key)
        else:
            report.waiting[key] = NO_BOARD if row.final is None else INTERIM
    return report


def days_over(competition: Competition, store: Store, now: datetime) -> dict[Window, datetime]:
    """The competition's days that are over, each with the start of its last window."""
    last_truth = store.schedule(competition).last_truth() or now
    days = [day for day in competition.days.between(competition.start, min(now, last_truth)) if day.end <= now]
    return {day: competition.windows.resolving(min(day.end, last_truth)).start for day in days}
