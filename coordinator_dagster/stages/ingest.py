"""Market data onto the tape: ask the feed for a range, store what it answers, note what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from coordinator_dagster.clock import Clock
from coordinator_dagster.competition import Competition
from coordinator_dagster.feeds.base import Feed, Heard
from coordinator_dagster.stages.facts import Added
from coordinator_dagster.windows import Window
from slots.market import MarketRecord, Series

if TYPE_CHECKING:
    from coordinator_dagster.store.store import Store

BATCH = 20_000
LIVE_BATCH = 2_000  # while it is written no cut-off can be taken
INSTANT = timedelta(microseconds=1)
Range = tuple[datetime, datetime]


@dataclass
class IngestReport:
    """Records the feed offered, new ones, restated ones, standing gaps, and completeness by series."""

    offered: int = 0
    new: int = 0
    restated: int = 0
    gaps: int = 0
    complete_through: dict[str, datetime | None] = field(default_factory=dict)


def contest_series(competition: Competition, feed: Feed) -> tuple[Series, ...]:
    """The pack's series at this feed, in the pack's order."""
    return tuple(feed.series(one.asset, one.kind, one.granularity) for one in competition.pack.series)


def ingest(competition: Competition, store: Store, feed: Feed, clock: Clock, windows: Sequence[Window]) -> IngestReport:
    """Every record of these windows that the feed has: events over in `(start, end]`.

    With the competition's first window comes the history before it that the first inputs look back on.
    """
    report = IngestReport()
    for series in contest_series(competition, feed):
        known = feed.known_through(series)
        for start, end in _stretches(competition, windows):
            if start < (until := min(end, known)):
                _ingest_range(competition, store, feed, clock, series, (start, until), report)
        report.complete_through[str(series)] = store.tape.complete_through([series])
    return report


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
    report, ranges = IngestReport(), store.gaps.standing(series, span)
    if competition.settings.mode == "live":
        through = store.tape.complete_through([series]) or competition.tape_start
        ranges.append((through, min(span[1], feed.known_through(series))))
    for start, end in ranges:
        if start < end:
            _ingest_range(competition, store, feed, clock, series, (start, end), report)
    return report


def _ingest_range(
    competition: Competition,
    store: Store,
    feed: Feed,
    clock: Clock,
    series: Series,
    span: Range,
    report: IngestReport,
) -> None:
    (start, end), live = span, competition.settings.mode == "live"
    arriving = feed.fetch(series, start - series.step + INSTANT, end - series.step + INSTANT)
    done, most = start, LIVE_BATCH if live else BATCH
    while batch := list(islice(arriving, most)):
        # Only what the batch has passed is known; the rest of the range is still to be asked for.
        reached = end if len(batch) < most else batch[-1].event_end
        _add(_put(competition, store, clock, series, batch, (done, reached)), report)
        done = reached
    if done == start and series.kind == "tick" and not feed.fixed:
        end = store.gaps.quiet(series, span, clock.now()) or done
    if done < end:
        _add(_put(competition, store, clock, series, [], (done, end)), report)
    report.gaps += _note_gaps(store, feed, series, span, came=done > start)


def take_in(competition: Competition, store: Store, feed: Feed, clock: Clock, heard: Heard) -> None:
    """What a feed pushed: on the tape, known from now on. A live connection without trades is a quiet market."""
    span = (heard.after, heard.through)
    _put(competition, store, clock, heard.series, heard.records, span)
    if heard.records or heard.series.kind == "candle":
        _note_gaps(store, feed, heard.series, span, came=bool(heard.records))


def _put(
    competition: Competition,
    store: Store,
    clock: Clock,
    series: Series,
    records: Sequence[MarketRecord],
    span: Range,
) -> Added:
    """In a live competition a record is known once it is here, history too: its first input may come before it."""
    arrival = clock.now if competition.settings.mode == "live" else None
    return store.tape.add(series, records, span, competition.tape_start, arrival)


def _note_gaps(store: Store, feed: Feed, series: Series, span: Range, came: bool) -> int:
    """What is missing of a span that was answered; `came`: some of it was there."""
    if series.kind == "tick":
        if came:
            store.gaps.trades_came(series, span)
        return 0
    given_up = "the tape has ended and does not hold these candles" if feed.fixed else None
    return store.gaps.record(series, span, given_up) if feed.every_bar else 0


def _add(added: Added, report: IngestReport) -> None:
    report.offered += added.offered
    report.new += added.new
    report.restated += added.restated
