"""A stand-in exchange over a made-up tape."""

import csv
import gzip
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from coordinator_dagster.clock import FixedClock
from coordinator_dagster.feeds.simulated import SimulatedFeed
from tests.feeds.stand_in import NOW, T0


@pytest.fixture(scope="session")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two made-up days of one-minute candles, of which the venue's clock has seen one and an hour."""
    folder = tmp_path_factory.mktemp("tape")
    made_up = SimulatedFeed(["BTC", "ETH"], 1, FixedClock(T0 + timedelta(days=2)))
    for asset in ("BTC", "ETH"):
        with gzip.open(folder / f"binance_{asset}_candle_1m.csv.gz", "wt", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["ts_event", "open", "high", "low", "close", "volume"])
            series = made_up.series(asset, "candle", "1m")
            for record in made_up.fetch(series, T0, T0 + timedelta(days=2)):
                rows.writerow([record.ts_event.isoformat(), *record.values.values()])
    return folder


@pytest.fixture
def url(tape: Path) -> Iterator[str]:
    """A venue of its own for each test, over that tape, its clock held at NOW."""
    stand_in_exchange = pytest.importorskip("stand_in_exchange", reason="the stand-in is not importable")
    with stand_in_exchange.running(tape, start=NOW.isoformat(), speed=0, derive_ticks=True) as url:
        yield url
