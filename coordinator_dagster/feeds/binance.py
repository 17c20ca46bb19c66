"""Binance Spot as a feed: closed klines, and the last trade of each millisecond."""

import difflib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

from coordinator_dagster.clock import Clock
from coordinator_dagster.errors import UserError
from coordinator_dagster.feeds.base import FeedError, Heard, Offer
from coordinator_dagster.feeds.binance_records import (
    EPOCH,
    FLUSH_DELAY,
    MILLISECOND,
    NONSENSE,
    candle_record,
    moment,
    tick_record,
)
from coordinator_dagster.feeds.binance_rest import PATIENCE_SECONDS, BinanceRest
from coordinator_dagster.feeds.binance_stream import BinanceStream
from slots.market import Kind, MarketRecord, Series

INTERVALS = ("1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d")
PAGE = 1000  # rows in one answer, the venue's maximum
OFFSET_AGE = timedelta(minutes=10)  # clocks drift: ask the venue for its time again
HOUR_MS = 3_600_000


class BinanceFeed:
    """Klines and aggregated trades of `ASSET` + `quote`, final ones only.

    `base_url` is without `/api` (https://api.binance.com), `stream_url` without `/stream` (unset: as `base_url`);
    `patience`, in seconds, bounds the retries of one request or connection. A tick is the last trade of its
    millisecond; its meta has `quantity` (base asset) and `trades` of that millisecond and the winner's `trade_id`.
    Source: binance-spot-api-docs, rest-api.md, on GitHub.
    """

    name = "binance"
    fixed = False
    every_bar = True

    def __init__(
        self,
        assets: Sequence[str],
        base_url: str,
        clock: Clock,
        quote: str = "USDT",
        *,
        stream_url: str | None = None,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        if not base_url.startswith(("http://", "https://")):
            raise UserError(f"FEED_BASE_URL={base_url} is not a URL; write it like https://api.binance.com")
        stream_url = stream_url or base_url.replace("http", "ws", 1)
        if not stream_url.startswith(("ws://", "wss://")):
            raise UserError(
                f"FEED_STREAM_URL={stream_url} is not one of websockets; write it like wss://stream.binance.com:9443"
            )
        self._assets, self._clock, self._quote, self._patience = list(assets), clock, quote, patience
        self._offset, self._measured = timedelta(0), datetime.min.replace(tzinfo=UTC)
        self._rest, self.stream_url = BinanceRest(base_url, patience), stream_url.rstrip("/")

    @property
    def url(self) -> str:
        return self._rest.url

    @property
    def transport(self) -> str:
        """What the venue is asked through: `python-binance`, or `http` where that is broken."""
        return self._rest.transport

    def list_assets(self) -> Sequence[Offer]:
        with self._sense_in("exchangeInfo"):
            symbols = self._rest.ask("exchangeInfo")["symbols"]
            traded = {one["baseAsset"] for one in symbols if one["quoteAsset"] == self._quote}
        unknown = [asset for asset in self._assets if asset not in traded]
        if unknown:
            near = difflib.get_close_matches(unknown[0].upper(), traded, n=3)
            allowed = ", ".join(sorted(traded, key=lambda asset: (asset not in near, asset)))
            raise UserError(
                f"FEED_ASSETS: {', '.join(unknown)} not traded against {self._quote} at {self.url}; "
                f"allowed, nearest names first: {allowed}"
            )
        kinds: tuple[tuple[Kind, str], ...] = (("candle", "1m"), ("tick", "1s"))
        return [Offer(self.series(asset, *kind)) for asset in self._assets for kind in kinds]

    def series(self, asset: str, kind: Kind, granularity: str) -> Series:
        if asset not in self._assets:
            raise UserError(f"FEED_ASSETS has no {asset}; it has {', '.join(self._assets)}")
        allowed = INTERVALS if kind == "candle" else ("1s",)
        if granularity not in allowed:
            raise UserError(f"binance has no {kind} of {granularity}; it has {', '.join(allowed)}")
        return Series("binance", asset, kind, granularity)

    def known_through(self, series: Series) -> datetime:
        """The venue's time, floored to the step of a candle, or less the flush delay for ticks."""
        now = self._venue_now()
        return now - (FLUSH_DELAY if series.kind == "tick" else (now - EPOCH) % series.step)

    def fetch(self, series: Series, start: datetime, end: datetime) -> Iterator[MarketRecord]:
        final = (self.known_through(series) - series.step - EPOCH) // MILLISECOND + 1
        first, asked = (-((EPOCH - bound) // MILLISECOND) for bound in (start, end))
        read = self._ticks if series.kind == "tick" else self._candles
        with self._sense_in(str(series)):
            yield from read(series, first, min(asked, final))

    def listen(self, since: Mapping[Series, datetime]) -> AsyncIterator[Heard]:
        stream = BinanceStream(self, self.venue_time, self.stream_url, self._clock, self._quote, self._patience)
        return stream.listen(since)

    def _candles(self, series: Series, start: int, end: int) -> Iterator[MarketRecord]:
        """Candles that open in [start, end), milliseconds."""
        symbol, interval = series.asset + self._quote, series.granularity
        while start < end:
            page = {"startTime": start, "endTime": end - 1, "limit": PAGE}
            answer = self._rest.ask("klines", symbol=symbol, interval=interval, **page)
            rows = {int(row[0]): row for row in answer}  # a row may come twice, or out of order
            for at in sorted(at for at in rows if start <= at < end):
                yield candle_record(series, moment(at), rows[at][1:6])
            if len(answer) < PAGE:
                return
            start = max(start, *rows) + 1

    def _ticks(self, series: Series, start: int, end: int) -> Iterator[MarketRecord]:
        for _, trades in groupby(self._trades(series, start, end), key=lambda trade: int(trade["T"])):
            yield tick_record(series, list(trades))

    def _trades(self, series: Series, start: int, end: int) -> Iterator[dict[str, Any]]:
        """Aggregated trades of [start, end), milliseconds, by id: by time to the first, from there by id."""
        where: dict[str, int] = {}
        while start < end or "fromId" in where:
            if "fromId" not in where:
                where = {"startTime": start, "endTime": min(start + HOUR_MS, end) - 1}  # the venue's widest
                start = where["endTime"] + 1
            answer = self._rest.ask("aggTrades", symbol=series.asset + self._quote, limit=PAGE, **where)
            rows = {int(trade["a"]): trade for trade in answer}
            yield from (rows[at] for at in sorted(rows) if int(rows[at]["T"]) < end)
            newest = len(answer) < PAGE and ("fromId" in where or start >= end)
            if newest or (rows and int(rows[max(rows)]["T"]) >= end):
                return
            if rows:
                where = {"fromId": max(rows) + 1}

    def venue_time(self) -> datetime:
        """What the venue says that the time is; FeedError when it does not say."""
        with self._sense_in("time"):
            theirs = moment(self._rest.ask("time")["serverTime"])
        self._measured = self._clock.now()
        self._offset = min(theirs - self._measured, timedelta(0))
        return theirs

    def _venue_now(self) -> datetime:
        """The venue's time by our clock, never ahead of either: the offset is taken after the answer came."""
        if abs(self._clock.now() - self._measured) > OFFSET_AGE:
            self.venue_time()
        return self._clock.now() + self._offset

    @contextmanager
    def _sense_in(self, what: str) -> Iterator[None]:
        """An answer that cannot be read, or has a price that is none, is a FeedError."""
        try:
            yield
        except NONSENSE as error:
            raise FeedError(f"{self.url} answered nonsense for {what}: {error!r}") from error
