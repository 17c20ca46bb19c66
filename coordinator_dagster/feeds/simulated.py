"""A made-up market: a seeded geometric random walk, the same for everyone who asks, in any order."""

import hashlib
import math
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from coordinator_dagster.clock import Clock
from coordinator_dagster.errors import UserError
from coordinator_dagster.feeds.base import Heard, Offer, listen_by_polling
from coordinator_dagster.feeds.fates import Fates
from slots.market import VALUE_NAMES, Kind, MarketRecord, Series, granularity_seconds, history_record

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = 86_400
BASE_PRICES = {"BTC": 30_000.0, "ETH": 2_000.0, "SOL": 25.0}
OTHER_BASE_PRICE = 100.0
VOLATILITY = 5e-4 / math.sqrt(60)  # of the log price, per square root of a second: 5 bp a minute
TOP = 22  # lattice of 2**22 s, seven weeks: inside, a Brownian path; beyond, it comes back to the base price
QUANTITIES = 64  # a hash level of its own; levels 0..TOP are the path's
LOTS = 100_000  # quantities are whole hundred-thousandths of the base asset
POLL_SECONDS = 0.2


def _hashed(key: int, level: int, index: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """One well-mixed 64-bit number for each index (splitmix64)."""
    z = index.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64((key + level * 0xD1342543DE82EF95) % 2**64)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _noise(key: int, level: int, first: int, count: int, stride: int = 1) -> npt.NDArray[np.float64]:
    """Bell-shaped numbers of mean 0 and variance 1: four 16-bit uniforms, summed (exact on any machine)."""
    z = _hashed(key, level, first + stride * np.arange(count, dtype=np.int64))
    total = sum((z >> np.uint64(shift)) & np.uint64(0xFFFF) for shift in (0, 16, 32, 48))
    return (np.asarray(total, np.float64) - 2 * 0xFFFF) / (0x10000 / math.sqrt(3))


def _path(key: int, first: int, last: int) -> npt.NDArray[np.float64]:
    """The log price less its base at each second `first..last`, both included.

    Lévy's construction: independent values on a coarse lattice, then midpoints, ever finer. A second's value
    depends on its lattice ancestors alone, never on the range asked for, and costs TOP steps however far off.
    """
    low = first >> TOP
    values = _noise(key, TOP, low, (last >> TOP) + 2 - low) * VOLATILITY * math.sqrt(2**TOP / 2)
    for level in range(TOP - 1, -1, -1):
        finer = np.empty(2 * len(values) - 1)
        finer[::2] = values
        noise = _noise(key, level, 2 * low + 1, len(values) - 1, 2)
        finer[1::2] = (values[:-1] + values[1:]) / 2 + noise * VOLATILITY * math.sqrt(2 ** (level + 1)) / 2
        origin, low = 2 * low, first >> level
        values = finer[low - origin : (last >> level) + 2 - origin]
    return values[:-1]


class SimulatedFeed:
    """Candles of any granularity and one tick per second, for the assets named.

    Everything is a function of (seed, asset, time). A tick at second s has the price P(s); a candle over
    [a, b) has open P(a), close P(b) and the extremes between, so ticks and candles agree and a bar opens
    where the one before closed. Every record says `simulated` in its meta.
    """

    name = "simulated"
    fixed = False
    every_bar = True

    def __init__(self, assets: Sequence[str], seed: int, clock: Clock) -> None:
        self._clock, self.fates = clock, Fates()
        self._keys = {
            asset: int.from_bytes(hashlib.blake2b(f"{seed}/{asset}".encode(), digest_size=8).digest(), "big")
            for asset in assets
        }

    def list_assets(self) -> Sequence[Offer]:
        kinds: tuple[tuple[Kind, str], ...] = (("candle", "1m"), ("tick", "1s"))
        return [Offer(self.series(asset, *kind)) for asset in self._keys for kind in kinds]

    def series(self, asset: str, kind: Kind, granularity: str) -> Series:
        if asset not in self._keys:
            raise UserError(f"FEED_ASSETS: the simulated feed has no {asset}; it has {', '.join(self._keys)}")
        try:
            seconds = granularity_seconds(granularity)
        except ValueError as error:
            raise UserError(str(error)) from error
        if kind == "tick" and seconds != 1:
            raise UserError(f"the simulated feed has no tick of granularity {granularity}; it has ticks of 1s")
        return Series("simulated", asset, kind, granularity)

    def known_through(self, series: Series) -> datetime:
        """Our clock, floored to the series' step."""
        now = self._clock.now()
        return now - (now - EPOCH) % timedelta(seconds=granularity_seconds(series.granularity))

    def fetch(self, series: Series, start: datetime, end: datetime) -> Iterator[MarketRecord]:
        self.series(series.asset, series.kind, series.granularity)
        step = granularity_seconds(series.granularity)
        # `first` and `stop` count steps since the epoch; a bar is over when the next begins, a tick at once
        first, asked = (-((EPOCH - moment) // timedelta(seconds=step)) for moment in (start, end))
        over = (self._clock.now() - EPOCH) // timedelta(seconds=step) + (series.kind == "tick")
        stop, chunk = min(asked, over), max(1, DAY // step)
        for low in range(first, stop, chunk):
            yield from self._records(series, step, low, min(low + chunk, stop))

    def listen(self, since: Mapping[Series, datetime]) -> AsyncIterator[Heard]:
        return listen_by_polling(self, since, self._clock, POLL_SECONDS)

    def _records(self, series: Series, step: int, first: int, stop: int) -> Iterator[MarketRecord]:
        key = self._keys[series.asset]
        base = BASE_PRICES.get(series.asset, OTHER_BASE_PRICE)
        decimals = 6 - math.floor(math.log10(base))  # a price has seven digits, as a venue's tick size has it
        prices = np.round(base * np.exp(_path(key, first * step, stop * step)), decimals)
        if series.kind == "tick":
            columns = [prices[:-1]]
        else:
            opens, closes, inside = prices[:-1:step], prices[step::step], prices[:-1].reshape(-1, step)
            lots = _hashed(key, QUANTITIES, np.arange(first * step, stop * step)) % np.uint64(LOTS // 5)
            volumes = lots.reshape(-1, step).sum(axis=1) / LOTS
            highs, lows = np.maximum(inside.max(axis=1), closes), np.minimum(inside.min(axis=1), closes)
            columns = [opens, highs, lows, closes, volumes]
        for at, row in enumerate(np.column_stack(columns).tolist(), first):
            values = dict(zip(VALUE_NAMES[series.kind], row, strict=True))
            moment = EPOCH + timedelta(seconds=at * step)
            yield history_record(series, moment, values, meta={"simulated": True})
