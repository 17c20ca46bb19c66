"""Slots of a contest over hours: hourly candles and sparse ticks."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from slots.tape import Tape

COUNT = 5


def given(now: datetime, tape: Tape, configs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The last candles and ticks, and when each was known."""
    return {
        "candles": [
            {"ts": one.ts_event.isoformat(), "known": one.known_at.isoformat(), **one.values}
            for one in tape.last("BTC", "candle", "1h", COUNT)
        ],
        "ticks": [
            {"ts": one.ts_event.isoformat(), "price": one.price, **one.meta}
            for one in tape.last("BTC", "tick", "1s", COUNT)
        ],
    }
