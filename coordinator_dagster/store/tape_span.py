"""A span of the tape in memory, for many questions about one window."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from slots.market import MarketRecord, Series
from slots.tape import MemorySource

if TYPE_CHECKING:
    from coordinator_dagster.store.tape import TapeTable


class CachedSource:
    """A span of the tape in memory for many questions; what lies before it is read from the table."""

    def __init__(
        self, table: TapeTable, series: Iterable[Series], start: datetime, end: datetime, look_back: int
    ) -> None:
        self._table = table
        self._memory = MemorySource(
            {one: [*table.upto(one, start, look_back), *table.between(one, start, end)] for one in series}
        )
        self._start = start

    def upto(self, series: Series, end: datetime, count: int) -> Sequence[MarketRecord]:
        found = self._memory.upto(series, end, count)
        return found if len(found) == count else self._table.upto(series, end, count)

    def between(self, series: Series, start: datetime, end: datetime) -> Sequence[MarketRecord]:
        if start >= self._start:
            return self._memory.between(series, start, end)
        return self._table.between(series, start, end)
