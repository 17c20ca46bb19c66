"""What a feed is: it pulls a range of history, and it pushes what happens."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from coordinator_dagster.clock import Clock
from coordinator_dagster.feeds.fates import Fates
from slots.market import MICROSECOND, Kind, MarketRecord, Series

FLUSH_DELAY = timedelta(seconds=0.25)  # a trade is on the tape of its venue that long after its time, by default
AGREEING_ANSWERS = 3  # so many answers have to agree before "nothing more" is believed


@dataclass(frozen=True)
class Offer:
    """A series that a feed can serve, and from when to when where it knows (`None`: open-ended)."""

    series: Series
    first: datetime | None = None
    last: datetime | None = None


@dataclass(frozen=True)
class Heard:
    """What became final of a series: all its records with `after < event_end <= through`, oldest first.

    `missing`: it has records there that have not come. They are fetched, and until then this is a gap.
    """

    series: Series
    after: datetime
    through: datetime
    records: Sequence[MarketRecord]
    missing: bool = False


class Feed(Protocol):
    """A source of market data.

    `name` is what `FEED_PROVIDER` calls it. `fixed` says that its tape has ended for good, so that what is
    missing stays missing. `every_bar` says that the venue prints a candle every step, so that a missing one
    is a gap. `fates` has what it met besides good records.
    """

    name: str
    fixed: bool
    every_bar: bool
    fates: Fates

    def list_assets(self) -> Sequence[Offer]:
        """Everything on offer; raises UserError when the source cannot be read."""
        ...

    def series(self, asset: str, kind: Kind, granularity: str) -> Series:
        """The series of that asset here; raises UserError naming what is on offer when there is none."""
        ...

    def known_through(self, series: Series) -> datetime:
        """Nothing at or before this moment is still to come from `fetch`."""
        ...

    def fetch(self, series: Series, start: datetime, end: datetime) -> Iterator[MarketRecord]:
        """The final records with `start <= ts_event < end`, oldest first, each timestamp once.

        An open candle is never among them. Raises FeedError when the source fails after its retries.
        """
        ...

    def listen(self, since: Mapping[Series, datetime]) -> AsyncIterator[Heard]:
        """Each series from its moment on, for ever: what was missed, then what becomes final.

        The pieces of a series follow on one another without a hole; a piece of one record before them is late. Raises
        FeedError when the source fails after its retries; listening again from where it ended loses nothing.
        """
        ...


class FeedError(Exception):
    """The source did not answer or answered nonsense; what was asked and what came are in the message."""


async def listen_by_polling(
    feed: Feed, since: Mapping[Series, datetime], clock: Clock, seconds: float
) -> AsyncIterator[Heard]:
    """Push by pulling: fetch what each series has become every `seconds` of the clock, in a thread of its own."""
    after = dict(since)
    while True:
        for series in after:
            heard = await asyncio.to_thread(fetch_heard, feed, series, after[series])
            after[series] = heard.through
            if heard.after < heard.through:
                yield heard
        await clock.sleep_until(clock.now() + timedelta(seconds=seconds))


def fetch_heard(feed: Feed, series: Series, after: datetime) -> Heard:
    """All that is final of a series after that moment."""
    return fetch_span(feed, series, after, max(after, feed.known_through(series)))


def fetch_span(feed: Feed, series: Series, after: datetime, through: datetime) -> Heard:
    """What a series has in `(after, through]`, which must be final; FeedError when the source fails."""
    if through <= after:
        return Heard(series, after, after, [])
    return Heard(series, after, through, list(fetch_over(feed, series, after, through)))


def fetch_over(feed: Feed, series: Series, after: datetime, through: datetime) -> Iterator[MarketRecord]:
    """The records that were over in `(after, through]`, oldest first; FeedError when the source fails."""
    # `fetch` goes by ts_event and ends before its end: one microsecond more on both sides
    return feed.fetch(series, after - series.step + MICROSECOND, through - series.step + MICROSECOND)
