"""Trend following: the slope of the last half hour goes on for a while, weaker."""

import math
from typing import Any

from slots.tracker import TrackerBase

LOOK_BACK = 30  # candles the line is fitted to
CARRY = 0.25  # the part of the slope that is expected to go on
MEMORY = 900.0  # seconds after which a trend is mostly spent
LIMIT = 0.002  # never forecast more than 20 bp


class TrendFollowing(TrackerBase):
    def __init__(self) -> None:
        self.logs: list[float] = []

    def tick(self, data: dict[str, Any]) -> None:
        self.logs = [math.log(candle["close"]) for candle in data.get("candles_1m", [])[-LOOK_BACK:]]

    def predict(self, asset: str, horizon: int, step: int) -> dict[str, float]:
        seconds = MEMORY * (1 - math.exp(-horizon / MEMORY))
        value = CARRY * slope(self.logs) / 60 * seconds
        return {"value": max(-LIMIT, min(LIMIT, value))}


def slope(values: list[float]) -> float:
    """The least-squares slope per step of evenly spaced values; 0.0 for fewer than three."""
    n = len(values)
    if n < 3:
        return 0.0
    middle = (n - 1) / 2
    spread = sum((i - middle) ** 2 for i in range(n))
    return sum((i - middle) * value for i, value in enumerate(values)) / spread
