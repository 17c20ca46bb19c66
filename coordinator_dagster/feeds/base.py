"""What a feed is: it pulls a range of history, and it pushes what happens."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from coordinator_dagster.clock import Clock
from slots.market import Kind, MarketRecord, Series


@dataclass(frozen=True)
class Offer:
    """A series that a feed can serve, and from when to when where it knows (`None`: open-ended)."""

    series: Series
    first: datetime | None = None
    last: datetime | None = None


class Feed(Protocol):
    """A source of market data.

    `name` is what `FEED_PROVIDER` calls it. `fixed` says that its tape has ended for good, so that what is
    missing stays missing. `every_bar` says that the venue prints a candle every step, so that a missing one
    is a gap.
    """

    name: str
    fixed: bool
    every_bar: bool

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

    def listen(self, series: Sequence[Series]) -> AsyncIterator[MarketRecord]:
        """The records of these series as they become final, for ever."""
        ...


class FeedError(Exception):
    """The source did not answer or answered nonsense; what was asked and what came are in the message."""


async def listen_by_polling(
    feed: Feed, series: Sequence[Series], clock: Clock, seconds: float
) -> AsyncIterator[MarketRecord]:
    """Push by pulling: fetch what each series has become every `seconds`, in a thread of its own."""

    def news(one: Series, after: datetime) -> tuple[datetime, list[MarketRecord]]:
        until = feed.known_through(one)
        if until <= after:
            return after, []
        # `fetch` ends before its end, but a tick at `until` is final: one microsecond more
        found = feed.fetch(one, after - one.step, until + timedelta(microseconds=1))
        return until, [record for record in found if after < record.event_end <= until]

    after = {one: await asyncio.to_thread(feed.known_through, one) for one in series}
    while True:
        for one in series:
            after[one], records = await asyncio.to_thread(news, one, after[one])
            for record in records:
                yield record
        await clock.sleep_until(clock.now() + timedelta(seconds=seconds))
