"""Mean reversion: what strayed from its recent mean comes part of the way back."""

from typing import Any

from slots.tracker import TrackerBase

LOOK_BACK = 30  # candles in the mean
HALF_LIFE = 600.0  # seconds in which half of the distance is expected to close
LIMIT = 0.002  # never forecast more than 20 bp


class MeanReversion(TrackerBase):
    def __init__(self) -> None:
        self.closes: list[float] = []

    def tick(self, data: dict[str, Any]) -> None:
        self.closes = [candle["close"] for candle in data.get("candles_1m", [])]

    def predict(self, asset: str, horizon: int, step: int) -> dict[str, float]:
        recent = self.closes[-LOOK_BACK:]
        if len(recent) < 2:
            return {"value": 0.0}
        distance = sum(recent) / len(recent) / recent[-1] - 1
        closed = 1 - 0.5 ** (horizon / HALF_LIFE)
        return {"value": max(-LIMIT, min(LIMIT, distance * closed))}
