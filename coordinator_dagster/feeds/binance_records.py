"""Binance's trades and klines as records: what REST and the websockets have in common."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from slots.market import VALUE_NAMES, MarketRecord, NoPrice, Series, history_record

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
NONSENSE = (ValueError, TypeError, LookupError, ArithmeticError)  # what reading an answer that is none raises


def moment(milliseconds: Any) -> datetime:
    """The venue's way to write a time: milliseconds since the epoch."""
    return EPOCH + int(milliseconds) * MILLISECOND


def candle_record(series: Series, opened: datetime, values: Sequence[Any]) -> MarketRecord:
    """A closed kline; `values` are open, high, low, close, volume, as numbers or as text."""
    named = zip(VALUE_NAMES["candle"], values, strict=True)
    return history_record(series, opened, {name: float(value) for name, value in named})


def tick_record(series: Series, trades: Sequence[Mapping[str, Any]]) -> MarketRecord:
    """The last of a millisecond's aggregated trades, which are all there and in the order of their ids."""
    quantities, count = [], 0
    for trade in trades:
        # each one is checked: a bad price is an error even where a later trade outdoes it
        record = history_record(series, moment(trade["T"]), {"price": float(trade["p"])})
        quantities.append(float(trade["q"]))
        count += int(trade["l"]) - int(trade["f"]) + 1
    # fsum: the exact sum, so that no paging of the same trades can change a digit
    quantity = math.fsum(quantities)
    if not math.isfinite(quantity):
        raise NoPrice(series, record.ts_event, "quantity", quantity)
    record.meta.update(quantity=quantity, trades=count, trade_id=int(trade["l"]))
    return record
