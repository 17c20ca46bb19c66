"""Which closed windows a batch run should settle: a decision on counts, kept from look to look in a cursor."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pydantic import BaseModel

from coordinator_dagster.stages.resolve import GIVE_UP_AFTER
from coordinator_dagster.store.settling import Standing
from coordinator_dagster.windows import Window

# How long a window rests after a run, when nothing has changed: its data may be there by now.
ASK_AGAIN = timedelta(hours=1)
# While its cycles are given up one by one.
ASK_AGAIN_OVERDUE = timedelta(minutes=5)
# After that only an operator can help, by mending a slot.
ASK_AGAIN_OLD = timedelta(days=1)
MOST_OPEN = 500  # older ones are left to the operator; the check `unresolved` lists them


class Unsettled(BaseModel):
    """A window that is not settled. `mark`: how it stood, None: not looked at since a run was asked for, at `asked`."""

    mark: str | None = None
    asked: datetime | None = None


class Progress(BaseModel):
    """What the sensor knows from its last look.

    `basis`: what settling rests on, versions and orders. `through`: up to there every window has been looked at.
    `behind`: seconds that the tape lacked, where it lacked windows. `unsettled`: windows up to there, by start.
    """

    basis: str = ""
    through: datetime | None = None
    behind: float | None = None
    unsettled: dict[datetime, Unsettled] = {}


@dataclass
class Decision:
    """Windows to ask a run for, those that need one (some of them rest), and all that are not settled, by start."""

    asked: list[Window] = field(default_factory=list)
    needing: set[datetime] = field(default_factory=set)
    unsettled: dict[datetime, Unsettled] = field(default_factory=dict)


def decide(
    progress: Progress,
    windows: Sequence[Window],
    due: Mapping[Window, int],
    standings: Mapping[datetime, Standing],
    tape: datetime,
    look_back: timedelta,
    now: datetime,
) -> Decision:
    """What to do about these windows, which come in order; the tape is there through `tape`.

    A window needs a run where cycles of it are open that need not wait, where it has no board, or where its board
    is interim though nothing that it looks back on is open. It is asked for when that is new or has changed, or
    when it has rested long enough.
    """
    decision, open_until = Decision(), None
    for window in windows:
        standing = standings[window.start]
        ready = due[window] - standing.ended - standing.waiting
        if ready > 0 or standing.waiting:
            open_until = window.end
        if standing.final and open_until != window.end:
            continue
        stale = open_until is None or open_until <= window.end - look_back
        before = progress.unsettled.get(window.start, Unsettled())
        mark = f"{ready} {standing.final} {standing.gaps_changed} {tape >= window.end}"
        decision.unsettled[window.start] = Unsettled(mark=mark, asked=before.asked)
        if ready > 0 or standing.final is None or stale:
            decision.needing.add(window.start)
            if (
                before.asked is None
                or before.mark not in (None, mark)
                or now >= before.asked + _rest(window, standing, now)
            ):
                decision.asked.append(window)
    decision.unsettled = dict(list(decision.unsettled.items())[-MOST_OPEN:])
    return decision


def _rest(window: Window, standing: Standing, now: datetime) -> timedelta:
    if now >= window.end + GIVE_UP_AFTER + ASK_AGAIN:
        return ASK_AGAIN_OLD
    return ASK_AGAIN_OVERDUE if standing.overdue else ASK_AGAIN


def catching_up(progress: Progress, behind: float | None, step: timedelta) -> bool:
    """Whether the tape is still being fetched: one run can settle all, once it is there.

    A tape that comes no nearer to the present than a step from look to look is as far as it gets. `behind`: seconds
    to the present, None: it lacks nothing.
    """
    if behind is None:
        return False
    return progress.behind is None or behind < progress.behind - step.total_seconds()
