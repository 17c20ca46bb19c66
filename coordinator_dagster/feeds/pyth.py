"""Pyth as a feed: prices as Hermes publishes them, and the candles of Benchmarks."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from pydantic import SecretStr

from coordinator_dagster.clock import Clock
from coordinator_dagster.errors import UserError
from coordinator_dagster.feeds.base import FLUSH_DELAY, Heard, Offer
from coordinator_dagster.feeds.choices import choose_series, offers
from coordinator_dagster.feeds.fates import Fates
from coordinator_dagster.feeds.pyth_candles import RESOLUTIONS, PythCandles, floor
from coordinator_dagster.feeds.pyth_prices import QUOTE, PythPrices
from coordinator_dagster.feeds.pyth_records import EPOCH, SECOND, moment
from coordinator_dagster.feeds.pyth_rest import PATIENCE_SECONDS, PythRest
from coordinator_dagster.feeds.pyth_stream import PythStream, last_over
from slots.market import Kind, MarketRecord, Series

PUBLISH_DELAY = timedelta(seconds=3)  # Hermes and Benchmarks have what was published so long ago; mostly after one


class PythFeed:
    """Ticks and candles of `Crypto.ASSET/USD`, final ones only.

    `base_url` is Hermes (https://hermes.pyth.network), `history_url` Benchmarks (https://benchmarks.pyth.network;
    unset: as `base_url`); `api_key` is sent to both. `patience`, in seconds, bounds the retries of one request or
    connection; `flush` is how long after a close its candle is first asked for, and, where more than PUBLISH_DELAY,
    after what time that nothing was published is believed. A tick is the first update of its second; its meta has
    `conf` (the confidence interval, in USD), `expo` (the price's exponent) and Pythnet's `slot`. A past tick costs a
    request each: 25 in 10 seconds.
    """

    name = "pyth"
    fixed = False
    every_bar = True

    def __init__(
        self,
        assets: Sequence[str],
        base_url: str,
        clock: Clock,
        *,
        history_url: str | None = None,
        api_key: SecretStr | None = None,
        patience: float = PATIENCE_SECONDS,
        flush: timedelta = FLUSH_DELAY,
    ) -> None:
        history_url = history_url or base_url
        for name, url in (("FEED_BASE_URL", base_url), ("FEED_HISTORY_URL", history_url)):
            if not url.startswith(("http://", "https://")):
                raise UserError(f"{name}={url} is not a URL; write it like https://hermes.pyth.network")
        self.url, self.history_url = base_url.rstrip("/"), history_url.rstrip("/")
        self._assets, self._clock, self.fates = list(assets), clock, Fates()
        self._flush, self._delay = flush, max(flush, PUBLISH_DELAY)
        rest = PythRest(self.fates, api_key, patience)
        self._prices = PythPrices(rest, self.url, clock, self.fates)
        self._candles = PythCandles(rest, self.history_url, clock, self.fates, self._delay)

    def list_assets(self) -> Sequence[Offer]:
        return offers("pyth", self._assets, self._prices.ids(), f"published in {QUOTE} at {self.url}")

    def series(self, asset: str, kind: Kind, granularity: str) -> Series:
        return choose_series("pyth", self._assets, RESOLUTIONS, (asset, kind, granularity))

    def known_through(self, series: Series) -> datetime:
        """By our clock less the delay: the last whole second that was over, or the last close. Pyth tells no time."""
        at = self._clock.now() - self._delay
        return moment(last_over(at)) if series.kind == "tick" else floor(at, series.step)

    def fetch(self, series: Series, start: datetime, end: datetime) -> Iterator[MarketRecord]:
        known = self.known_through(series)
        if series.kind == "candle":
            return self._candles.fetch(series, start, min(end, known))
        first, last = (-((EPOCH - bound) // SECOND) for bound in (start, min(end, known + SECOND)))
        return (update.record for update in self._prices.updates(series, first, last))

    async def listen(self, since: Mapping[Series, datetime]) -> AsyncIterator[Heard]:
        pieces: asyncio.Queue[Heard | Exception] = asyncio.Queue(1)
        ticks = {series: after for series, after in since.items() if series.kind == "tick"}
        stream = PythStream(self._prices, self._clock, self.fates, self._delay, ticks, pieces.put)
        bars = [
            self._candles.listen(series, after, self._flush, pieces.put)
            for series, after in since.items()
            if series.kind == "candle"
        ]

        async def do(work: Awaitable[None]) -> None:
            try:
                await work
            except Exception as error:  # whoever listens shall have it
                await pieces.put(error)

        tasks = [asyncio.create_task(do(work)) for work in (*stream.work(), *bars)]
        try:
            while True:
                piece = await pieces.get()
                if isinstance(piece, Exception):
                    raise piece
                yield piece
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
