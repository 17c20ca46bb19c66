"""Slots of the live tests: one that fails at one instant."""

from datetime import datetime
from typing import Any

from slots.defaults import provide_raw_input


def input_that_fails_once(now: datetime, tape: Any, configs: Any, candles_window: int) -> dict[str, Any]:
    if now.minute == 2:
        raise RuntimeError("no input at two past")
    return provide_raw_input(now, tape, configs, candles_window)
