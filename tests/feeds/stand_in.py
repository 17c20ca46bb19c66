"""What the tests against the stand-in exchange share: its times, its series, its controls."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from coordinator_dagster.clock import FixedClock
from coordinator_dagster.feeds.binance import BinanceFeed
from coordinator_dagster.feeds.replay import ReplayFeed
from slots.market import MarketRecord, Series, utc

T0 = utc("2026-01-01T00:00Z")
NOW = T0 + timedelta(days=1, hours=1, seconds=30)  # half a minute into a candle
CLOSED = NOW - timedelta(seconds=30)  # all that opened before this are over
CANDLES = Series("binance", "BTC", "candle", "1m")
TICKS = Series("binance", "BTC", "tick", "1s")


def feed(url: str, now: datetime = NOW, patience: float = 5.0) -> BinanceFeed:
    return BinanceFeed(["BTC"], url, FixedClock(now), patience=patience)


def control(url: str, what: str, **order: Any) -> None:
    httpx.post(f"{url}/_control/{what}", json=order).raise_for_status()


def requests_seen(url: str, path: str) -> int:
    return int(httpx.get(f"{url}/_control/stats").json()["requests"].get(f"/api/v3/{path}", 0))


def recorded(tape: Path, start: datetime, end: datetime, series: Series = CANDLES) -> list[MarketRecord]:
    return list(ReplayFeed(tape, "binance", FixedClock(end)).fetch(series, start, end))
