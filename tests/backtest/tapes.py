"""Recorded tapes of a market that never was, as CSV files."""

import random
from collections.abc import Collection
from datetime import datetime, timedelta
from pathlib import Path

from slots.market import utc

START = utc("2026-01-05T00:00Z")


def candles(folder: Path, start: datetime, minutes: int, holes: Collection[int] = ()) -> Path:
    """A random walk from `start` on, without the minutes in `holes`."""
    draw, price, lines = random.Random(1), 30_000.0, ["ts_event,open,high,low,close,volume"]
    for minute in range(minutes):
        before, price = price, price * (1 + draw.gauss(0, 0.0005))
        if minute not in holes:
            numbers = (before, max(before, price), min(before, price), price, draw.random())
            lines.append(",".join([_at(start + timedelta(minutes=minute)), *map(repr, numbers)]))
    return _written(folder, "walk_BTC_candle_1m.csv", lines)


def ticks(folder: Path, start: datetime, seconds: int) -> Path:
    """A trade now and then, two of them at one time."""
    draw, lines = random.Random(2), ["ts_event,price,quantity"]
    for second in range(0, seconds, 7):
        row = f"{_at(start + timedelta(seconds=second))},{30_000 + draw.random()!r},0.1"
        lines += [row] * (2 if second % 2 else 1)
    return _written(folder, "walk_BTC_tick.csv", lines)


def _at(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _written(folder: Path, name: str, lines: list[str]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("\n".join(lines) + "\n")
    return folder
