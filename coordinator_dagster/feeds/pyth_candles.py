"""Candles from Pyth's Benchmarks: its history for TradingView, asked for the past and right after each close."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from coordinator_dagster.clock import Clock
from coordinator_dagster.feeds.base import Heard
from coordinator_dagster.feeds.fates import Fates
from coordinator_dagster.feeds.pyth_prices import QUOTE
from coordinator_dagster.feeds.pyth_records import EPOCH, SECOND, bars, candle_record
from coordinator_dagster.feeds.pyth_rest import PythRest
from slots.market import MarketRecord, Series

RESOLUTIONS = {
    **{f"{minutes}m": str(minutes) for minutes in (1, 2, 5, 15, 30)},
    **{f"{hours}h": str(hours * 60) for hours in (1, 2, 4, 6, 12)},
    "1d": "D",
}
PAGE_BARS, PAGE_SPAN = 5000, timedelta(days=364)  # in one answer; the venue allows a year
PIECE_BARS = 240  # in one piece: while it is written, no input can be built
# Real seconds
FIRST_PAUSE, LAST_PAUSE = 0.5, 4.0  # before a bar is asked for again
BAR_SECONDS = 10.0  # after that a bar that does not come is a gap, to be asked for again by whoever heals gaps


def floor(at: datetime, step: timedelta) -> datetime:
    return at - (at - EPOCH) % step


class PythCandles:
    """Closed bars of `Crypto.ASSET/USD` at `url` (https://benchmarks.pyth.network).

    `delay`: what was published so long ago is in the history. Each method may raise FeedError.
    """

    def __init__(self, rest: PythRest, url: str, clock: Clock, fates: Fates, delay: timedelta) -> None:
        self._rest, self._url, self._clock, self._fates, self._delay = rest, url, clock, fates, delay

    def fetch(self, series: Series, start: datetime, end: datetime) -> Iterator[MarketRecord]:
        """The bars that open in [start, end), all of which must have closed."""
        page = min(PAGE_BARS * series.step, PAGE_SPAN)
        while start < end:
            until = min(start + page, end)
            yield from self._bars(series, start, until)[0]
            start = until

    async def listen(
        self, series: Series, after: datetime, flush: timedelta, put: Callable[[Heard], Awaitable[None]]
    ) -> None:
        """Put each piece from that moment on, for ever; a bar is asked for `flush` after its close."""
        while True:
            opened = floor(after, series.step)
            await self._clock.sleep_until(opened + series.step + flush)
            closed = floor(self._clock.now() - flush, series.step)
            heard = await self._closed(series, after, min(closed, opened + PIECE_BARS * series.step))
            after = heard.through
            await put(heard)

    async def _closed(self, series: Series, after: datetime, through: datetime) -> Heard:
        """The bars that closed in `(after, through]`, waited for: right after its close a bar may not be whole.

        It is whole when a later one is there, or the delay has passed.
        """
        began, pause = time.monotonic(), FIRST_PAUSE
        while True:
            delayed = self._clock.now() - self._delay >= through  # before it is asked for
            found, later = await asyncio.to_thread(self._bars, series, floor(after, series.step), through)
            there = later or (found and found[-1].event_end == through)
            if (later or delayed) and (there or time.monotonic() - began > BAR_SECONDS):
                return Heard(series, after, through, found)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LAST_PAUSE)

    def _bars(self, series: Series, start: datetime, end: datetime) -> tuple[list[MarketRecord], bool]:
        """The bars that open in [start, end), whole seconds, and whether there is one that opens later."""
        first, last = (-((EPOCH - bound) // SECOND) for bound in (start, end))

        def read(answer: Any) -> tuple[list[MarketRecord], bool]:
            rows = bars(series, answer, self._fates)
            wanted = [candle_record(series, opened, row) for opened, row in rows.items() if first <= opened < last]
            return wanted, any(opened >= last for opened in rows)

        symbol, resolution = f"Crypto.{series.asset}/{QUOTE}", RESOLUTIONS[series.granularity]
        span = {"from": first, "to": last}
        url = f"{self._url}/v1/shims/tradingview/history"
        return self._rest.ask(url, read, symbol=symbol, resolution=resolution, **span)
