"""The tape as a slot sees it: bound to a moment, and silent about what comes after it."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import pandas as pd

from slots.market import Kind, MarketRecord, Series


class TapeSource(Protocol):
    """Where records come from: the database, or a participant's memory."""

    def upto(self, series: Series, end: datetime, count: int) -> Sequence[MarketRecord]:
        """The last `count` records over by `end` (`event_end <= end`), oldest first; fewer if there are."""
        ...

    def between(self, series: Series, start: datetime, end: datetime) -> Sequence[MarketRecord]:
        """The records with `start < event_end <= end`, oldest first."""
        ...


class TapeAway(Exception):
    """The tape cannot be read just now: no fault of the slot that asked."""


class FutureError(Exception):
    """A slot asked its tape for what was not knowable at its moment."""


@dataclass(frozen=True)
class Tape:
    """What was on the tape at `now`: events over by `now` that had arrived by `cut_off`.

    Asking past `now` raises FutureError. For a truth `cut_off` is None: whatever is there counts.
    """

    _source: TapeSource
    now: datetime
    series: tuple[Series, ...]
    cut_off: datetime | None = None

    def last(self, asset: str, kind: Kind = "candle", granularity: str = "1m", count: int = 1) -> list[MarketRecord]:
        """The last `count` records, oldest first; fewer when the tape is younger than that."""
        return self._last(self._find(asset, kind, granularity), self.now, count)

    def records(
        self, asset: str, start: datetime, end: datetime, kind: Kind = "candle", granularity: str = "1m"
    ) -> list[MarketRecord]:
        """The records whose event was over in `(start, end]`, oldest first."""
        if end > self.now:
            raise FutureError(f"asked for {asset} through {end.isoformat()}, but it is {self.now.isoformat()}")
        return self._known(self._source.between(self._find(asset, kind, granularity), start, end))

    def frame(
        self, asset: str, start: datetime, end: datetime, kind: Kind = "candle", granularity: str = "1m"
    ) -> pd.DataFrame:
        """`records` as a frame: index `ts_event` (UTC), a column per value."""
        found = self.records(asset, start, end, kind, granularity)
        index = pd.DatetimeIndex([record.ts_event for record in found], name="ts_event", tz="UTC")
        return pd.DataFrame([record.values for record in found], index=index)

    def price(self, asset: str, at: datetime) -> MarketRecord | None:
        """The record that gives the price at `at`, from the asset's first series; None when it is missing.

        For candles it is the one that closes at the last boundary at or before `at`; for ticks the last
        trade at or before it: a quiet market has its last price.
        """
        if at > self.now:
            raise FutureError(f"asked for {asset} at {at.isoformat()}, but it is {self.now.isoformat()}")
        series = self._first(asset)
        found = self._last(series, at, 1)
        if not found or (series.step and found[-1].event_end != boundary(at, series.step)):
            return None
        return found[-1]

    def has_ticks(self, asset: str) -> bool:
        """Whether the contest lists a tick series of this asset."""
        return any(one.asset == asset and one.kind == "tick" for one in self.series)

    def _last(self, series: Series, end: datetime, count: int) -> list[MarketRecord]:
        wanted = count
        while True:
            found = self._source.upto(series, end, wanted)
            known = self._known(found)
            if len(known) >= count or len(found) < wanted:
                return known[-count:]
            wanted = wanted * 2  # some of the newest had not arrived: reach further back

    def _known(self, records: Sequence[MarketRecord]) -> list[MarketRecord]:
        if self.cut_off is None:
            return list(records)
        return [record for record in records if record.known_at <= self.cut_off]

    def _find(self, asset: str, kind: Kind, granularity: str) -> Series:
        for one in self.series:
            if (one.asset, one.kind, one.granularity) == (asset, kind, granularity):
                return one
        raise LookupError(f"{asset}/{kind}/{granularity} is not among this contest's series: {self._names()}")

    def _first(self, asset: str) -> Series:
        for one in self.series:
            if one.asset == asset:
                return one
        raise LookupError(f"{asset} has no series in this contest: {self._names()}")

    def _names(self) -> str:
        return ", ".join(str(one) for one in self.series) or "none"


EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def boundary(at: datetime, step: timedelta) -> datetime:
    """The last multiple of `step` since the Unix epoch at or before `at`."""
    return at - (at - EPOCH) % step


class MemorySource:
    """Records in memory, for backtests and tests; also the cache over the database's tape."""

    def __init__(self, records: dict[Series, list[MarketRecord]]) -> None:
        self._records = records
        self._ends = {one: [record.event_end for record in found] for one, found in records.items()}

    def upto(self, series: Series, end: datetime, count: int) -> Sequence[MarketRecord]:
        stop = bisect_right(self._ends.get(series, []), end)
        return self._records.get(series, [])[max(0, stop - count) : stop]

    def between(self, series: Series, start: datetime, end: datetime) -> Sequence[MarketRecord]:
        ends = self._ends.get(series, [])
        return self._records.get(series, [])[bisect_right(ends, start) : bisect_right(ends, end)]
