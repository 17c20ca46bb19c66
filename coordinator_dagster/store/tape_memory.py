"""The newest stretch of the tape in memory, for who asks every few seconds: only what is new is read."""

from bisect import insort
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection

from coordinator_dagster.store.tape import TapeTable
from slots.market import MarketRecord, Series
from slots.tape import MemorySource


class TapeMemory:
    """A `TapeSource` of the last `look_back` records of each series as of the last `refresh`; the table has the rest.

    A late record shows by its id: ids are given in the order in which records become readable.
    """

    def __init__(self, table: TapeTable, series: Iterable[Series], look_back: int) -> None:
        self._table, self._look_back = table, look_back
        self._records: dict[Series, list[MarketRecord]] = {one: [] for one in series}
        self._last_id = dict.fromkeys(self._records, 0)
        self._memory = MemorySource({})

    def refresh(self, connection: Connection) -> None:
        """Take in what has come since, as that transaction sees it."""
        for series, records in self._records.items():
            if not records:
                self._last_id[series], records[:] = self._table.newest(connection, series, self._look_back)
                continue
            since = self._last_id[series], records[0].ts_event, self._look_back
            self._last_id[series], new = self._table.come_since(connection, series, *since)
            for record in new:
                insort(records, record, key=lambda one: one.event_end)
            del records[: -self._look_back]
        self._memory = MemorySource(self._records)

    def upto(self, series: Series, end: datetime, count: int) -> Sequence[MarketRecord]:
        found = self._memory.upto(series, end, count)
        return found if len(found) == count else self._table.upto(series, end, count)

    def between(self, series: Series, start: datetime, end: datetime) -> Sequence[MarketRecord]:
        known = self._records[series]
        source = self._memory if known and start >= known[0].event_end else self._table
        return source.between(series, start, end)
