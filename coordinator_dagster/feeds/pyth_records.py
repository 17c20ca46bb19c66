"""Pyth's price updates and bars as records: what Hermes, its stream and Benchmarks have in common."""

import logging
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

from coordinator_dagster.feeds.base import FeedError
from coordinator_dagster.feeds.fates import Fates
from slots.market import VALUE_NAMES, MarketRecord, NoPrice, Series, history_record

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
AHEAD = timedelta(minutes=1)  # the venue's clock may be ahead of ours, by less
# what reading an answer that is none raises
NONSENSE = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError)
log = logging.getLogger(__name__)


class NotYet(ValueError):
    """A record of a time that has not come."""

    def __init__(self, series: Series, at: datetime, now: datetime) -> None:
        super().__init__(f"{series} at {at.isoformat()}: that time has not come, it is {now.isoformat()}")
        self.series = series


@dataclass(frozen=True)
class Update:
    """A price as it was published in a `second` since the epoch, the one before it in the second `previous`.

    Several are published within a second; where `previous` is the same second, this one is not the first of it.
    """

    second: int
    previous: int
    record: MarketRecord


def moment(second: int) -> datetime:
    """The venue's way to write a time: whole seconds since the epoch."""
    return EPOCH + second * SECOND


def same_id(written: str) -> str:
    """A feed's id in one form; it comes with `0x` and without."""
    return written.lower().removeprefix("0x")


def refuse(fates: Fates, where: str, error: Exception) -> None:
    """What the venue said is not believed: every such case is counted and logged here."""
    if isinstance(error, NoPrice):
        fates.refuse(error)
    elif isinstance(error, NotYet):
        fates.note(error.series, "future", error)
    log.warning("%s: refused: %s", where, error if str(error) else repr(error))


def price_update(series: Series, one: Mapping[str, Any], now: datetime) -> Update:
    """One of `parsed`, checked. NoPrice for a price or confidence that is none, or that was never published (0)."""
    price, metadata = one["price"], one.get("metadata") or {}
    second, expo = _whole(price["publish_time"]), _whole(price["expo"])
    if second <= 0:
        raise NoPrice(series, EPOCH, "publish_time", second)
    at = moment(second)
    if at > now + AHEAD:
        raise NotYet(series, at, now)
    confidence = _scaled(series, at, "conf", price["conf"], expo)
    if not 0 <= confidence < math.inf:
        raise NoPrice(series, at, "conf", confidence)
    meta = {"conf": confidence, "expo": expo}
    if "slot" in metadata:
        meta["slot"] = _whole(metadata["slot"])
    record = history_record(series, at, {"price": _scaled(series, at, "price", price["price"], expo)}, meta=meta)
    # where the venue does not say it, there may have been one in the second before
    previous = metadata.get("prev_publish_time")
    return Update(second, second - 1 if previous is None else _whole(previous), record)


def bars(series: Series, answer: Mapping[str, Any], fates: Fates) -> dict[int, Sequence[Any]]:
    """The rows of a history by opening second, oldest first, the open bar's too; FeedError when it says `error`."""
    if answer["s"] == "error":
        raise FeedError(f"{series}: the history says: error: {str(answer.get('errmsg', 'no reason given'))[:200]}")
    if answer["s"] == "no_data":
        return {}
    if answer["s"] != "ok" or not answer["t"]:
        raise ValueError(f"{series}: s={answer['s']!r} with {len(answer['t'])} bars")
    rows: dict[int, Sequence[Any]] = {}
    opens = [_whole(opened) for opened in answer["t"]]
    for opened, *values in zip(opens, *(answer[name] for name in "ohlcv"), strict=True):
        if rows.setdefault(opened, values) != values:
            raise ValueError(f"{series} at {moment(opened).isoformat()}: two bars, {rows[opened]} and {values}")
    fates.note(series, "duplicate", "a bar twice in one answer", len(opens) - len(rows))
    disordered = sum(after < before for before, after in pairwise(opens))
    fates.note(series, "disordered", f"an answer with {moment(opens[0])}", disordered)
    return dict(sorted(rows.items()))


def candle_record(series: Series, opened: int, values: Sequence[Any]) -> MarketRecord:
    """A closed bar; `values` are open, high, low, close, volume (which is always 0 at Pyth)."""
    at = moment(opened)
    if (at - EPOCH) % series.step:
        raise ValueError(f"{series} at {at.isoformat()}: a bar opens at a multiple of its length")
    record = history_record(series, at, dict(zip(VALUE_NAMES["candle"], values, strict=True)))
    record.values.update({name: float(value) for name, value in record.values.items()})
    return record


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r} is not a whole number")
    return value


def _scaled(series: Series, at: datetime, name: str, text: Any, expo: int) -> float:
    """A 64-bit whole number, written as text, times ten to the exponent: the nearest float."""
    if not re.fullmatch(r"-?[0-9]{1,20}", text):
        raise NoPrice(series, at, name, text[:80])
    return float(Decimal(text).scaleb(expo))
