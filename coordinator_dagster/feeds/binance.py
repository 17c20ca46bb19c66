"""Binance Spot as a feed: closed klines, and the last trade of each millisecond."""

import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise
from typing import Any

from coordinator_dagster.clock import Clock
from coordinator_dagster.errors import UserError
from coordinator_dagster.feeds.base import AGREEING_ANSWERS, FLUSH_DELAY, Heard, Offer
from coordinator_dagster.feeds.binance_records import (
    EPOCH,
    MILLISECOND,
    candle_record,
    moment,
    tick_record,
)
from coordinator_dagster.feeds.binance_rest import PATIENCE_SECONDS, BinanceRest
from coordinator_dagster.feeds.binance_stream import BinanceStream
from coordinator_dagster.feeds.choices import choose_series, offers
from coordinator_dagster.feeds.fates import Fates
from slots.market import Kind, MarketRecord, Series

INTERVALS = ("1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d")
PAGE = 1000  # rows in one answer, the venue's maximum
OFFSET_AGE = timedelta(minutes=10)  # clocks drift: ask the venue for its time again
HOUR_MS = 3_600_000
Trade = dict[str, Any]  # an aggregated trade, as the venue names its parts


class BinanceFeed:
    """Klines and aggregated trades of `ASSET` + `quote`, final ones only.

    `base_url` is without `/api` (https://api.binance.com), `stream_url` without `/stream` (unset: as `base_url`);
    `patience`, in seconds, bounds the retries of one request or connection; `flush` is how long after its time a trade
    is on the venue's tape. A tick is the last trade of its
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
        flush: timedelta = FLUSH_DELAY,
    ) -> None:
        if not base_url.startswith(("http://", "https://")):
            raise UserError(f"FEED_BASE_URL={base_url} is not a URL; write it like https://api.binance.com")
        stream_url = stream_url or base_url.replace("http", "ws", 1)
        if not stream_url.startswith(("ws://", "wss://")):
            raise UserError(
                f"FEED_STREAM_URL={stream_url} is not one of websockets; write it like wss://stream.binance.com:9443"
            )
        self._assets, self._clock, self._quote = list(assets), clock, quote
        self.fates, self._patience, self._flush = Fates(), patience, flush
        self._lock, self._said = threading.Lock(), dict[Series, datetime]()
        self._offset, self._measured = timedelta(0), datetime.min.replace(tzinfo=UTC)
        self._rest, self.stream_url = BinanceRest(base_url, self.fates, patience), stream_url.rstrip("/")

    @property
    def url(self) -> str:
        return self._rest.url

    @property
    def transport(self) -> str:
        """What the venue is asked through: `python-binance`, or `http` where that is broken."""
        return self._rest.transport

    def list_assets(self) -> Sequence[Offer]:
        traded = self._rest.ask("exchangeInfo", self._traded)
        return offers("binance", self._assets, traded, f"traded against {self._quote} (FEED_QUOTE) at {self.url}")

    def _traded(self, exchange_info: Any) -> set[str]:
        return {one["baseAsset"] for one in exchange_info["symbols"] if one["quoteAsset"] == self._quote}

    def series(self, asset: str, kind: Kind, granularity: str) -> Series:
        return choose_series("binance", self._assets, INTERVALS, (asset, kind, granularity))

    def known_through(self, series: Series) -> datetime:
        """The venue's time, floored to the step of a candle, or less the flush delay for ticks.

        What has been said once holds, also when the venue's clock turns out to be behind: who asks for a range by it
        must not get less than that without a word.
        """
        now = self._venue_now()
        through = now - (self._flush if series.kind == "tick" else (now - EPOCH) % series.step)
        with self._lock:
            self._said[series] = max(through, self._said.get(series, through))
            return self._said[series]

    def fetch(self, series: Series, start: datetime, end: datetime) -> Iterator[MarketRecord]:
        final = (self.known_through(series) - series.step - EPOCH) // MILLISECOND + 1
        first, asked = (-((EPOCH - bound) // MILLISECOND) for bound in (start, end))
        read = self._ticks if series.kind == "tick" else self._candles
        return read(series, first, min(asked, final))

    def listen(self, since: Mapping[Series, datetime]) -> AsyncIterator[Heard]:
        names = {self._stream(series): series for series in since}
        stream = BinanceStream(self, self.venue_time, self.stream_url, names, self._clock, self._patience, self._flush)
        return stream.listen(since)

    def _stream(self, series: Series) -> str:
        kind = "aggTrade" if series.kind == "tick" else f"kline_{series.granularity}"
        return f"{series.asset}{self._quote}".lower() + f"@{kind}"

    def _candles(self, series: Series, start: int, end: int) -> Iterator[MarketRecord]:
        """Candles that open in [start, end), milliseconds."""

        def read(answer: Any) -> tuple[list[MarketRecord], int, int]:
            rows = [(int(row[0]), row) for row in answer]
            wanted = self._in_order(series, [one for one in rows if start <= one[0] < end])
            records = [candle_record(series, moment(at), row[1:6]) for at, row in wanted]
            return records, len(rows), max((at for at, _ in rows), default=start)

        while start < end:
            page = {"startTime": start, "endTime": end - 1, "limit": PAGE}
            symbol, interval = series.asset + self._quote, series.granularity
            records, rows, last = self._rest.ask("klines", read, symbol=symbol, interval=interval, **page)
            yield from records
            if rows < PAGE:
                return
            start = max(start, last) + 1

    def _ticks(self, series: Series, start: int, end: int) -> Iterator[MarketRecord]:
        for _, trades in groupby(self._trades(series, start, end), key=lambda trade: int(trade["T"])):
            yield tick_record(series, list(trades))

    def _trades(self, series: Series, start: int, end: int) -> Iterator[Trade]:
        """Aggregated trades of [start, end), milliseconds, by id: by time to the first, from there by id.

        An answer that ends the trades before `end` is believed when it has come three times.
        """

        def read(answer: Any) -> tuple[list[Trade], int]:
            rows = self._in_order(series, [(int(trade["a"]), trade) for trade in answer])
            for _, trade in rows:
                tick_record(series, [trade])  # one that is none is found here, where it can be asked for again
            return [trade for _, trade in rows], len(answer)

        where: dict[str, int] = {}
        ended = 0
        while start < end or "fromId" in where:
            if "fromId" not in where:
                where = {"startTime": start, "endTime": min(start + HOUR_MS, end) - 1}  # the venue's widest
                start = where["endTime"] + 1
            trades, rows = self._rest.ask("aggTrades", read, symbol=series.asset + self._quote, limit=PAGE, **where)
            yield from (trade for trade in trades if int(trade["T"]) < end)
            if trades and int(trades[-1]["T"]) >= end:
                return
            if trades:
                where, ended = {"fromId": int(trades[-1]["a"]) + 1}, 0
            if rows < PAGE and "fromId" in where:
                ended += 1
                if ended == AGREEING_ANSWERS:
                    return

    def _in_order(self, series: Series, rows: Sequence[tuple[int, Any]]) -> list[tuple[int, Any]]:
        """A page's rows by their key, each once: one may come twice, or out of order."""
        keys = [key for key, _ in rows]
        disordered = sum(after < before for before, after in pairwise(keys))
        self.fates.note(series, "disordered", f"a page with {moment(keys[0]) if keys else ''}", disordered)
        unique = dict(rows)
        self.fates.note(series, "duplicate", "a row twice in one page", len(keys) - len(unique))
        return sorted(unique.items())

    def venue_time(self) -> datetime:
        """What the venue says that the time is; FeedError when it does not say."""
        theirs = self._rest.ask("time", lambda answer: moment(answer["serverTime"]))
        self._measured = self._clock.now()
        self._offset = min(theirs - self._measured, timedelta(0))
        return theirs

    def _venue_now(self) -> datetime:
        """The venue's time by our clock, never ahead of either: the offset is taken after the answer came."""
        if abs(self._clock.now() - self._measured) > OFFSET_AGE:
            self.venue_time()
        return self._clock.now() + self._offset
