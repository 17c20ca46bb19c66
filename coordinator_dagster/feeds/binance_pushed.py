"""What Binance pushes of one series, cut into pieces that follow on one another."""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from coordinator_dagster.feeds.base import MICROSECOND, FeedError, Heard
from coordinator_dagster.feeds.binance_records import EPOCH, MILLISECOND, candle_record, moment, tick_record
from coordinator_dagster.feeds.fates import Fates
from coordinator_dagster.ranges import Range
from slots.market import MarketRecord, Series

log = logging.getLogger(__name__)


class ConnectionLost(FeedError):
    """What a connection gives can no longer be relied on; the message says why."""


class PushedTicks:
    """A series of ticks out of the stream `aggTrade`, from `after` on; all before that has been given already.

    `final`: nothing at or before it is still to come. `open_since`: the newest tick that is not final yet. `late`:
    spans that had been given as final when it turned out that trades of them had not come.
    """

    behind = False

    def __init__(self, series: Series, after: datetime, fates: Fates) -> None:
        self.series, self.after, self.final, self._fates = series, after, after, fates
        self.late: list[Range] = []
        self.open_since: datetime | None = None
        self._start = self._seen = after  # what was pushed through `_start` others have given; the newest trade's time
        self._first_id, self._next_id = 0, 0  # ids seen: from the first, up to but without the next
        self._trades: list[Mapping[str, Any]] = []  # of the newest millisecond
        self._records: list[MarketRecord] = []

    def take(self, trade: Mapping[str, Any]) -> None:
        """One message; raises ConnectionLost when trades before it are missing, ValueError when it is none."""
        at, number = moment(trade["T"]), int(trade["a"])
        if self._next_id and self._first_id <= number < self._next_id:
            self._fates.note(self.series, "duplicate", f"trade {number} was pushed twice")
            return
        if self._next_id and number != self._next_id:
            lost = f"trade {number} came where {self._next_id} was due"
            self._fates.note(self.series, "disordered", lost)
            self._is_late(at - MILLISECOND if number < self._next_id else self._seen, at)
            raise ConnectionLost(f"{self.series}: {lost}")
        self._first_id, self._next_id, self._seen = self._first_id or number, number + 1, at
        if at <= self._start:
            return
        if at <= self.after:
            log.warning("%s: trade %d, of %s, came when that time was given as final", self.series, number, at)
            self._is_late(at - MILLISECOND, at)
            return
        if at <= self.final:
            raise ConnectionLost(f"{self.series}: trade {number}, of {at}, came when later ones were final")
        tick_record(self.series, [trade])  # what is wrong with it is found here, not when it has become final
        if at != self.open_since:
            self._close()
        self.open_since = at
        self._trades.append(trade)
        self.final = at - MICROSECOND

    def forward(self, after: datetime) -> None:
        """Something else has given all through `after`; what was pushed of later goes on waiting."""
        self.after, self.final, self._start = after, max(self.final, after), after
        self._seen = max(self._seen, after)
        self._records = [record for record in self._records if record.event_end > after]
        if self.open_since and self.open_since <= after:
            self._trades, self.open_since = [], None

    def advance(self, final: datetime) -> None:
        self.final = max(self.final, final)
        if self.open_since and self.open_since <= self.final:
            self._close()

    def cut(self, now: datetime, beat: timedelta, soon: bool) -> Heard | None:
        """What is final by our own clock too: where a whole `beat` has passed or, if `soon`, where there is a tick."""
        through = min(self.final, now)
        ready = [record for record in self._records if record.event_end <= through]
        passed = (through - EPOCH) // beat > (self.after - EPOCH) // beat
        if not (passed or (ready and soon)):
            return None
        heard = Heard(self.series, self.after, through, ready)
        self.after, self._records = through, self._records[len(ready) :]
        return heard

    @property
    def waiting(self) -> datetime | None:
        """The first tick that is final and has not been given."""
        return self._records[0].event_end if self._records else None

    def _is_late(self, start: datetime, end: datetime) -> None:
        """What of a span, of which trades have not come, was given."""
        start, end = max(start, self._start), min(end, self.after)
        if end - start >= MILLISECOND:
            self.late.append((start, end))

    def _close(self) -> None:
        if self._trades:
            self._records.append(tick_record(self.series, self._trades))
        self._trades, self.open_since = [], None


class PushedCandles:
    """A series of candles out of the stream `kline`, from `after` on; only closed ones.

    `behind`: a bar was seen whose forerunner never closed here, so REST has to be asked for it.
    """

    open_since = None

    def __init__(self, series: Series, after: datetime, fates: Fates) -> None:
        self.series, self.after, self.final, self.behind, self._fates = series, after, after, False, fates
        self.late: list[Range] = []
        self._records: list[MarketRecord] = []

    def take(self, message: Mapping[str, Any]) -> None:
        """One message; raises ValueError when it is none."""
        kline = message["k"]
        opened, closed = moment(kline["t"]), kline["x"]
        if closed not in (True, False):
            raise ValueError(f"{self.series} at {opened.isoformat()}: x={closed!r} is neither true nor false")
        if opened > self.final:
            self.behind = True
        elif closed and opened + self.series.step > self.final:
            self._records.append(candle_record(self.series, opened, [kline[name] for name in "ohlcv"]))
            self.final = opened + self.series.step
        elif closed:
            self._fates.note(self.series, "duplicate", f"the candle of {opened} was pushed twice, or fetched before")

    def forward(self, after: datetime) -> None:
        """Something else has given all through `after`; what was pushed of later goes on waiting."""
        self.after, self.final, self.behind = after, max(self.final, after), False
        self._records = [record for record in self._records if record.event_end > after]

    def advance(self, final: datetime) -> None:
        """Only closed candles advance it."""

    def cut(self, now: datetime, beat: timedelta, soon: bool) -> Heard | None:
        """The closed candles that are over by our own clock too."""
        ready = [record for record in self._records if record.event_end <= now]
        if not ready:
            return None
        heard = Heard(self.series, self.after, ready[-1].event_end, ready)
        self.after, self._records = heard.through, self._records[len(ready) :]
        return heard

    @property
    def waiting(self) -> datetime | None:
        """The first close that has not been given."""
        return self._records[0].event_end if self._records else None
