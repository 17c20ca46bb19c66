"""Market data onto the tape: ask the feed for a range, store what it answers, note what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from coordinator_dagster.clock import Clock
from coordinator_dagster.competition import Competition
from coordinator_dagster.feeds.base import Feed, FeedError, Heard, fetch_over
from coordinator_dagster.feeds.fates import Fate, Met
from coordinator_dagster.ranges import Range, merge_ranges
from coordinator_dagster.stages.facts import Added
from coordinator_dagster.windows import Window
from slots.market import MarketRecord, Series

if TYPE_CHECKING:
    from coordinator_dagster.store.store import Store

BATCH = 20_000
LIVE_BATCH = 2_000  # while it is written no cut-off can be taken
GAPS_AT_ONCE = 20  # asked for again in one look
UNSERVED = "the venue has not served these candles yet"
LATE = "a trade came after its time had been given as complete; it is fetched"
ENDED = "the tape has ended and does not hold these candles"


@dataclass(frozen=True)
class _Parts:
    """What every step here works with."""

    competition: Competition
    store: Store
    feed: Feed
    clock: Clock

    @property
    def live(self) -> bool:
        return self.competition.settings.mode == "live"


@dataclass
class IngestReport:
    """Records the feed offered, new ones, restated ones, standing gaps, and completeness by series."""

    offered: int = 0
    new: int = 0
    restated: int = 0
    gaps: int = 0
    complete_through: dict[str, datetime | None] = field(default_factory=dict)

    def add(self, other: Added | IngestReport) -> None:
        self.offered += other.offered
        self.new += other.new
        self.restated += other.restated
        if isinstance(other, IngestReport):
            self.gaps += other.gaps
            self.complete_through |= other.complete_through


def contest_series(competition: Competition, feed: Feed) -> tuple[Series, ...]:
    """The pack's series at this feed, in the pack's order."""
    return tuple(feed.series(one.asset, one.kind, one.granularity) for one in competition.pack.series)


def ingest(
    competition: Competition,
    store: Store,
    feed: Feed,
    clock: Clock,
    windows: Sequence[Window],
    refetch: bool = True,
) -> IngestReport:
    """Every record of these windows that the feed has: events over in `(start, end]`.

    With the competition's first window comes the history before it that the first inputs look back on. With later
    ones comes what was never asked for before them, so that no window waits for another's run. Without `refetch` only
    what was not answered yet, and the gaps.
    """
    parts, report = _Parts(competition, store, feed, clock), IngestReport()
    for series in contest_series(competition, feed):
        known = feed.known_through(series)
        spans = [(start, min(end, known)) for start, end in _stretches(competition, windows)]
        wanted = spans if refetch else [part for span in spans for part in _lacking(store, series, span)]
        before = store.tape.unanswered(series, (competition.tape_start, min(windows[-1].start, known)))
        for part in merge_ranges([*before, *wanted]):
            if part[0] < part[1]:
                _ingest_range(parts, series, part, report)
        report.complete_through[str(series)] = store.tape.complete_through([series])
    return report


def _lacking(store: Store, series: Series, span: Range) -> list[Range]:
    """What of a span was not answered, and its gaps."""
    gaps = [(max(start, span[0]), min(end, span[1])) for start, end in store.gaps.standing(series, span)]
    return merge_ranges([*store.tape.unanswered(series, span), *gaps])


def _stretches(competition: Competition, windows: Sequence[Window]) -> list[Range]:
    """The windows joined where they touch."""
    stretches: list[Range] = []
    for window in windows:
        start = competition.tape_start if window.start <= competition.start else window.start
        if stretches and stretches[-1][1] == start:
            stretches[-1] = (stretches[-1][0], window.end)
        else:
            stretches.append((start, window.end))
    return stretches


def fetch_missing(
    competition: Competition, store: Store, feed: Feed, clock: Clock, series: Series, span: Range
) -> IngestReport:
    """Ask the feed again for the gaps in a span and, live, for what the series is not complete through yet."""
    parts, report = _Parts(competition, store, feed, clock), IngestReport()
    # Live, this is asked every minute: gaps have their turn. By hand, all are asked for.
    ranges = store.gaps.standing(series, span, due=clock.now() if parts.live else None)
    if parts.live:
        through = store.tape.complete_through([series]) or competition.tape_start
        ranges.append((through, min(span[1], feed.known_through(series))))
    for start, end in ranges:
        if start < end:
            _ask_again(parts, series, (start, end), report)
    return report


def heal(competition: Competition, store: Store, feed: Feed, clock: Clock) -> IngestReport:
    """Ask again for the gaps whose turn it is, a few at a time; FeedError when the feed fails."""
    parts, report = _Parts(competition, store, feed, clock), IngestReport()
    for gap in store.gaps.due(contest_series(competition, feed), clock.now(), GAPS_AT_ONCE):
        _ask_again(parts, gap.series, (gap.start, gap.end), report)
    return report


def give_up(competition: Competition, store: Store, before: datetime) -> None:
    """Gaps that were over by then and still stand end. What was never answered is passed over: the tape goes on."""
    for gap in store.gaps.give_up(before):
        store.tape.add(gap.series, [], (gap.start, gap.end), competition.tape_start)


def _ask_again(parts: _Parts, series: Series, span: Range, report: IngestReport) -> None:
    gaps, clock = parts.store.gaps, parts.clock
    try:
        _ingest_range(parts, series, span, report)
    except FeedError as error:
        gaps.tried(series, span, clock.now(), str(error))
        raise
    gaps.tried(series, span, clock.now())


def _ingest_range(parts: _Parts, series: Series, span: Range, report: IngestReport) -> None:
    store, feed, origin = parts.store, parts.feed, parts.competition.tape_start
    kept = store.expiry.kept(series, span)
    if span[0] < kept[0]:  # what has left by age was answered once, and is in the archive: it is not asked for again
        store.tape.add(series, [], (span[0], min(kept[0], span[1])), origin)
    if kept[0] >= span[1]:
        return
    start, end = kept
    arriving = fetch_over(feed, series, start, end)
    done = start
    try:
        for batch in _batches(arriving, LIVE_BATCH if parts.live else BATCH):
            # Only what the batch has passed is known; the rest of the range is still to be asked for.
            report.add(_put(parts, series, batch, (done, batch[-1].event_end)))
            done = batch[-1].event_end
    except FeedError as error:
        store.gaps.failed(series, (done, end), parts.clock.now(), str(error))
        raise
    finally:
        store.fates.add(feed.fates.take())
    if done == start and series.kind == "tick" and not feed.fixed:
        if quiet := store.gaps.quiet(series, kept, parts.clock.now()):
            store.tape.add(series, [], (done, quiet), origin)
    elif done < end:
        report.add(_put(parts, series, [], (done, end)))
    report.gaps += store.gaps.count(series, kept)


def _batches(records: Iterator[MarketRecord], most: int) -> Iterator[list[MarketRecord]]:
    """The records, so many at a time; where the feed fails, what came before is given first."""
    batch: list[MarketRecord] = []
    try:
        for record in records:
            batch.append(record)
            if len(batch) == most:
                yield batch
                batch = []
    except FeedError:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def take_in(competition: Competition, store: Store, feed: Feed, clock: Clock, heard: Heard) -> None:
    """What a feed pushed: on the tape, known from now on. A live connection without trades is a quiet market."""
    span = (heard.after, heard.through)
    if heard.missing:
        store.gaps.failed(heard.series, span, clock.now(), LATE)
        return
    _put(_Parts(competition, store, feed, clock), heard.series, heard.records, span)
    store.fates.add(feed.fates.take())


def _put(parts: _Parts, series: Series, records: Sequence[MarketRecord], span: Range) -> Added:
    """Store what an answer for the span held, with what is missing of it; count records that were not simply new.

    In a live competition a record is known once it is here, history too: its first input may come before it.
    """
    store, feed, origin, now = parts.store, parts.feed, parts.competition.tape_start, parts.clock.now()
    met = []
    # A tape that has ended is of the past, also where its series end at different times.
    if early := [record for record in records if record.event_end > now and not feed.fixed]:
        detail = f"{early[-1].event_end.isoformat()} when it was {now.isoformat()}"
        met.append(Met(series, "future", len(early), detail))
        records = [record for record in records if record.event_end <= now]
        span = (span[0], max(span[0], min(span[1], now)))
    note = None
    if series.kind == "tick":
        note = partial(store.gaps.answered, series=series, span=span, now=now, origin=origin)
    elif feed.every_bar:
        reason = ENDED if feed.fixed else UNSERVED
        note = partial(store.gaps.record, series=series, covered=span, now=now, reason=reason, given_up=feed.fixed)
    added = store.tape.add(series, records, span, origin, parts.clock.now if parts.live else None, note)
    counts: dict[Fate, int] = {"duplicate": added.duplicate, "restated": added.restated, "late": added.late}
    where = f"among the records of {span[0].isoformat()} to {span[1].isoformat()}"
    store.fates.add([*met, *(Met(series, fate, count, where) for fate, count in counts.items() if count)])
    return added
