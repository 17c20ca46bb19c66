"""Volatility regime: in a calm market the last moves go on, in a wild one they are overdone."""

import math
from itertools import pairwise
from typing import Any

from slots.tracker import TrackerBase

SHORT = 10  # returns that show the market's state now, out of all that are given
WILD = 1.5  # times the usual volatility
FOLLOW, FADE = 0.1, -0.2  # the part of the last moves that goes on
LIMIT = 0.001  # never forecast more than 10 bp


class VolatilityRegime(TrackerBase):
    def __init__(self) -> None:
        self.returns: list[float] = []

    def tick(self, data: dict[str, Any]) -> None:
        closes = [candle["close"] for candle in data.get("candles_1m", [])]
        self.returns = [after / before - 1 for before, after in pairwise(closes)]

    def predict(self, asset: str, horizon: int, step: int) -> dict[str, float]:
        usual, now = volatility(self.returns), volatility(self.returns[-SHORT:])
        if usual == 0:
            return {"value": 0.0}
        part = FADE if now > WILD * usual else FOLLOW
        minutes = min(horizon / 60, SHORT)
        last = self.returns[-SHORT:]
        return {"value": max(-LIMIT, min(LIMIT, part * sum(last) / len(last) * minutes))}


def volatility(returns: list[float]) -> float:
    """The root mean square of returns; 0.0 for none."""
    return math.sqrt(sum(r * r for r in returns) / len(returns)) if returns else 0.0
