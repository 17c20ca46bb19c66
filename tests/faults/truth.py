"""What the venue's tape holds, reckoned from the files of set A alone: neither the venue nor its feed is asked."""

import csv
import functools
import gzip
from bisect import bisect_left
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path

from coordinator_dagster.clock import FixedClock
from coordinator_dagster.feeds.replay import ReplayFeed
from slots.market import MarketRecord, Series, history_record, utc
from slots.tape import boundary

TICK = Series("binance", "BTC", "tick", "1s")
BTC, ETH = Series("binance", "BTC", "candle", "1m"), Series("binance", "ETH", "candle", "1m")
BTC_5M = Series("binance", "BTC", "candle", "5m")
SERIES = (TICK, BTC, ETH, BTC_5M)
# The stand-in makes four trades of a minute's candle, so many seconds after its open.
TRADES = ((0, "open"), (20, "high"), (40, "low"), (59, "close"))


def truth(folder: Path, series: Series, start: datetime, end: datetime) -> list[MarketRecord]:
    """The records that are over in `(start, end]`, oldest first."""
    asset = ETH if series == ETH else BTC
    minutes = _feed(folder).fetch(asset, start - timedelta(minutes=10), end + timedelta(minutes=10))
    made = {TICK: _ticks, BTC_5M: _five}.get(series, lambda folder, candles: candles)(folder, minutes)
    return [one for one in made if start < one.event_end <= end]


def outages(folder: Path, series: Series, start: datetime, end: datetime) -> set[datetime]:
    """The opens of the candles in `(start, end]` that there are none of: the venue really was away."""
    there = {one.ts_event for one in truth(folder, series, start, end)}
    opens, moment = set(), boundary(start, series.step)
    while moment + series.step <= end:
        if moment + series.step > start and moment not in there:
            opens.add(moment)
        moment += series.step
    return opens


@functools.cache
def _feed(folder: Path) -> ReplayFeed:
    return ReplayFeed(folder, "binance", FixedClock(utc("2023-05-01T00:00Z")))


@functools.cache
def _opens(folder: Path) -> list[datetime]:
    """When BTC's candles open: the number of a trade goes by how many came before."""
    with gzip.open(folder / "binance_BTC_candle_1m.csv.gz", "rt") as file:
        return [utc(row["ts_event"]) for row in csv.DictReader(file)]


def _ticks(folder: Path, candles: Iterator[MarketRecord]) -> Iterator[MarketRecord]:
    for candle in candles:
        number = bisect_left(_opens(folder), candle.ts_event) * len(TRADES)
        for place, (seconds, name) in enumerate(TRADES):
            at = candle.ts_event + timedelta(seconds=seconds)
            quantity = float(f"{candle.values['volume'] / len(TRADES):.8f}")
            meta = {"quantity": quantity, "trades": 1, "trade_id": number + place}
            yield history_record(TICK, at, {"price": candle.values[name]}, meta=meta)


def _five(folder: Path, candles: Iterator[MarketRecord]) -> Iterator[MarketRecord]:
    for opened, five in groupby(candles, key=lambda one: boundary(one.ts_event, BTC_5M.step)):
        parts = [one.values for one in five]
        values = {
            "open": parts[0]["open"],
            "high": max(one["high"] for one in parts),
            "low": min(one["low"] for one in parts),
            "close": parts[-1]["close"],
            "volume": float(f"{sum(one['volume'] for one in parts):.8f}"),
        }
        yield history_record(BTC_5M, opened, values)
