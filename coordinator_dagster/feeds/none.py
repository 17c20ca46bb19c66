"""No feed: a contest whose truth comes from elsewhere has no market."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import datetime

from coordinator_dagster.clock import Clock
from coordinator_dagster.errors import UserError
from coordinator_dagster.feeds.base import Heard, Offer
from coordinator_dagster.feeds.fates import Fates
from slots.market import Kind, MarketRecord, Series


class NoFeed:
    """Has no series and never a record."""

    name = "none"
    fixed = False
    every_bar = False

    def __init__(self, clock: Clock) -> None:
        self._clock, self.fates = clock, Fates()

    def list_assets(self) -> Sequence[Offer]:
        return []

    def series(self, asset: str, kind: Kind, granularity: str) -> Series:
        raise UserError(
            f"FEED_PROVIDER=none: the pack needs {asset}/{kind}/{granularity}, and there is no feed; set FEED_PROVIDER "
            "to one that has it, such as binance, or take it out of the pack's series"
        )

    def known_through(self, series: Series) -> datetime:
        return self._clock.now()

    def fetch(self, series: Series, start: datetime, end: datetime) -> Iterator[MarketRecord]:
        return iter(())

    async def listen(self, since: Mapping[Series, datetime]) -> AsyncIterator[Heard]:
        nothing: Sequence[Heard] = ()
        await asyncio.Event().wait()
        for heard in nothing:  # never reached, but it makes this an iterator
            yield heard
