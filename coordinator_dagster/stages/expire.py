"""Let months of the tape go by age: archived first, and never what a cycle without a truth may need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Literal

from coordinator_dagster.clock import Clock
from coordinator_dagster.competition import Competition
from coordinator_dagster.feeds.archive_files import DAY
from coordinator_dagster.feeds.base import Feed
from coordinator_dagster.schedule import Schedule
from coordinator_dagster.stages.archive import ArchiveReport, archive
from coordinator_dagster.stages.facts import MonthChanged, MonthStays
from slots.market import Series
from slots.tape import EPOCH

if TYPE_CHECKING:
    from coordinator_dagster.store.expiry import Month
    from coordinator_dagster.store.store import Store

INSTANT = timedelta(microseconds=1)
TRIES = 3  # records may come while a month is archived
OPEN = {"planned": "is planned", "running": "is running", "PERFORMED": "has no truth yet"}


@dataclass(frozen=True)
class Need:
    """Records with `ts_event >= since` are needed, and why, for people."""

    since: datetime
    why: str


@dataclass(frozen=True)
class Verdict:
    """What becomes of a month of the tape, and why, for people: `held` is one that is old enough, and needed."""

    month: Month
    fate: Literal["goes", "held", "kept"]
    why: str

    @property
    def days(self) -> list[date]:
        start, end = self.month.start, self.month.end
        return [(start + number * DAY).date() for number in range((end - start) // DAY)]


@dataclass
class ExpireReport:
    """What was archived; the months that went, with their records; those held though old enough, with the reason."""

    archived: ArchiveReport = field(default_factory=ArchiveReport)
    gone: dict[str, int] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)


def expire(
    competition: Competition,
    store: Store,
    feed: Feed,
    clock: Clock,
    progress: Callable[[int], None] = lambda done: None,
) -> ExpireReport:
    """Archive the days that are over, and take the months off the tape that are older than MARKET_RECORD_TTL_DAYS.

    Before a month goes, all its days are brought up to date and their files verified. Killed anywhere, nothing is lost,
    and the next run goes on from there. `progress` is told of each day of `days_to_look_at`. Raises StageFailed when a
    file is not right: then its month stays.
    """
    report = ExpireReport()
    with store.archive.alone():
        store.expiry.free()  # what one that was killed had taken off the tape
        report.archived = archive(competition, store, unfinished(competition, store, feed, clock), progress)
        for verdict in plan(competition, store, feed, clock):
            if verdict.fate == "goes" and not report.held:  # none before an older one
                _let_go(competition, store, verdict, progress, report)
            elif verdict.fate != "kept":
                report.held[verdict.month.name] = verdict.why if verdict.fate == "held" else "an older month stays"
    return report


def plan(competition: Competition, store: Store, feed: Feed, clock: Clock) -> list[Verdict]:
    """What becomes of each month that is on the tape, oldest first; nothing is changed."""
    days, months = competition.settings.market_record_ttl_days, store.expiry.months()
    oldest = _now(competition, store, feed, clock) - timedelta(days=days) if days else None
    need = needed(competition, store) if oldest and any(month.end <= oldest for month in months) else None
    return [_verdict(month, days, oldest, need) for month in months]


def _verdict(month: Month, days: int, oldest: datetime | None, need: Need | None) -> Verdict:
    if not days:
        return Verdict(month, "kept", "MARKET_RECORD_TTL_DAYS=0: nothing goes by age")
    if oldest is None or month.end > oldest:
        until = month.end + timedelta(days=days)
        return Verdict(month, "kept", f"until {until:%Y-%m-%d}, {days} days after its end")
    if need and need.since < month.end:
        return Verdict(month, "held", need.why)
    return Verdict(month, "goes", f"it ended more than {days} days ago, and no cycle needs it")


def unfinished(competition: Competition, store: Store, feed: Feed, clock: Clock) -> list[date]:
    """The days that are over, and not archived yet as complete ones."""
    return store.archive.unfinished(_now(competition, store, feed, clock))


def days_to_look_at(competition: Competition, store: Store, feed: Feed, clock: Clock) -> int:
    """How many days `expire` tells of."""
    goes = [one for one in plan(competition, store, feed, clock) if one.fate == "goes"]
    return len(unfinished(competition, store, feed, clock)) + sum(len(one.days) for one in goes)


def _now(competition: Competition, store: Store, feed: Feed, clock: Clock) -> datetime:
    """The mode's: in a replay the end of its tape, which may have come some way only."""
    now = clock.now()
    if competition.settings.mode == "replay" and not feed.fixed:
        now = min(now, store.tape.complete_through(_on_the_tape(competition, store)) or EPOCH)
    return now


def look_back(competition: Competition, series: Sequence[Series]) -> timedelta:
    """How far before its instant a cycle's input and truth reach, where no record is missing."""
    settings, longest = competition.settings, max((one.step for one in series), default=timedelta(0))
    return max(timedelta(minutes=settings.feed_backfill_minutes), (settings.feed_candles_window + 1) * longest)


def needed(competition: Competition, store: Store) -> Need | None:
    """What the first cycle needs that has not ended, or has no truth in any version; None: there is none any more."""
    schedule, known = store.schedule(competition), store.expiry.cycles_from()
    found = []
    if row := store.expiry.first_open(known):
        found.append((row.performed_at, row.config, OPEN[row.status]))
    if due := first_due(competition, store, schedule, known or competition.start):
        found.append((*due, "is due, and has not been run"))
    if not found:
        return None
    instant, config, state = min(found)
    every = _on_the_tape(competition, store)
    since = instant - look_back(competition, every)
    for series in every:
        # Through an outage, or in a quiet market, as many records reach further back.
        records = store.tape.upto(series, instant, competition.settings.feed_candles_window + 1)
        since = min([since, *(record.ts_event for record in records[:1])])
    why = f"the cycle of {config} at {instant.isoformat()} {state}; it may need records from {since.isoformat()} on"
    return Need(since, why)


def first_due(
    competition: Competition, store: Store, schedule: Schedule, since: datetime
) -> tuple[datetime, str] | None:
    """The first (instant, config) that is due from `since` on and is not in `cycles`; None: all there are are there."""
    grid = competition.windows
    recorded = store.expiry.recorded(grid.at(since).start)
    last = max(recorded, default=None)
    for window in grid.between(since, grid.at(last).end) if last else ():
        if recorded.get(window.start, 0) < schedule.count(window):
            there = store.expiry.recorded_in(window.start)
            if lacking := [(t, one.id) for t, one in schedule.due(window) if (one.id, t) not in there]:
                return lacking[0]
    following = schedule.next_instant((grid.at(last).end if last else since) - INSTANT)
    return (following, schedule.due_at(following)[0].id) if following else None


def _let_go(
    competition: Competition, store: Store, verdict: Verdict, progress: Callable[[int], None], report: ExpireReport
) -> None:
    month = verdict.month
    for tried in range(TRIES):
        report.archived += archive(competition, store, verdict.days, (lambda done: None) if tried else progress)
        try:
            rows = store.expiry.leave(
                month, _cycles_from(competition, store, month), partial(_still_needed, competition, store, month)
            )
        except MonthChanged as change:
            report.held[month.name] = f"records came while it was archived: {change}"
        except MonthStays as why:
            report.held[month.name] = str(why)
            return
        else:
            report.held.pop(month.name, None)
            report.gone[month.name] = rows
            store.expiry.free()
            return


def _still_needed(competition: Competition, store: Store, month: Month) -> str | None:
    need = needed(competition, store)
    return need.why if need and need.since < month.end else None


def _cycles_from(competition: Competition, store: Store, month: Month) -> datetime:
    """From when on cycles lack nothing once the month has gone: they look back, in time and records, on later ones."""
    every = _on_the_tape(competition, store)
    moments = [month.end + look_back(competition, every)]
    count, last = competition.settings.feed_candles_window + 1, store.cycles.last_ended() or month.end
    for series in every:
        if store.tape.upto(series, month.end, 1):
            # With fewer after it none is still to come, or the month would be needed: all that were may lack some.
            moments.append(store.expiry.nth_end(series, month, count) or last + INSTANT)
    return max(moments)


def _on_the_tape(competition: Competition, store: Store) -> Sequence[Series]:
    """The series of the contest that have records."""
    wanted = {(one.asset, one.kind, one.granularity) for one in competition.pack.series}
    return [one for one in store.tape.series() if (one.asset, one.kind, one.granularity) in wanted]
