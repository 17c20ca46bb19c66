"""A recorded tape in memory, as far as it has been read."""

from collections.abc import Iterable
from datetime import datetime

from coordinator_dagster.feeds.base import Feed, fetch_span
from slots.market import MarketRecord, Series
from slots.tape import MemorySource


class MemoryTape:
    """The series' records from `origin`, the tape's start, on.

    The feed's tape has ended: what it does not hold will not come, so it is complete as far as it has been read.
    """

    def __init__(self, feed: Feed, series: Iterable[Series], origin: datetime) -> None:
        self._feed, self._origin = feed, origin
        self._records = {one: list[MarketRecord]() for one in series}
        self._through = dict.fromkeys(self._records, origin)
        self._memory = MemorySource({})

    def read(self, until: datetime) -> None:
        """Take in the records that are over by then."""
        for series, records in self._records.items():
            through = min(until, self._feed.known_through(series))
            if through > self._through[series]:
                records += fetch_span(self._feed, series, self._through[series], through).records
                self._through[series] = through
        self._memory = MemorySource(self._records)

    def knowable_through(self, series: Iterable[Series]) -> datetime | None:
        """Nothing of these series at or before this moment is still to come; None when one has not begun."""
        moments = []
        for one in series:
            if self._through[one] == self._origin:
                return None
            moments.append(one.knowable_through(self._through[one]))
        return min(moments, default=None)

    def cached(self, series: Iterable[Series], start: datetime, end: datetime, look_back: int) -> MemorySource:
        """The tape: all of it is in memory."""
        return self._memory
