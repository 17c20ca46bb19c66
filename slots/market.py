"""Market data as the coordinator keeps it: a series, and the records on it."""

import re
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

Kind = Literal["tick", "candle"]
LARGEST = sys.float_info.max
MICROSECOND = timedelta(microseconds=1)
VALUE_NAMES: dict[str, tuple[str, ...]] = {
    "tick": ("price",),
    "candle": ("open", "high", "low", "close", "volume"),
}
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def granularity_seconds(text: str) -> int:
    """Seconds in a granularity such as `1s`, `1m`, `4h`, `1d`; ValueError for anything else."""
    found = re.fullmatch(r"([1-9]\d*)([smhd])", text)
    if not found:
        raise ValueError(f"granularity {text!r} is not a number and a unit out of s, m, h, d (such as '1m')")
    return int(found[1]) * _UNITS[found[2]]


@dataclass(frozen=True, slots=True, order=True)
class Series:
    """One (provider, asset, kind, granularity) of a feed; ticks have granularity `1s` by convention."""

    provider: str
    asset: str
    kind: Kind
    granularity: str

    def __str__(self) -> str:
        return f"{self.provider}/{self.asset}/{self.kind}/{self.granularity}"

    @property
    def step(self) -> timedelta:
        """How long one record lasts: a candle's length, nothing for a tick."""
        return timedelta(seconds=granularity_seconds(self.granularity) if self.kind == "candle" else 0)

    def knowable_through(self, complete: datetime) -> datetime:
        """Once complete through `complete`, nothing is to come until then: no candle ends inside the next one."""
        return complete + max(self.step - MICROSECOND, timedelta(0))


@dataclass(frozen=True, slots=True)
class MarketRecord:
    """One closed candle or one tick.

    `ts_event` is a candle's OPEN time or a tick's trade time (UTC). `event_end` is when it was over, and
    `known_at` when it was final and readable on the tape. `values` are finite numbers: `price` for a tick;
    `open, high, low, close` (quote currency) and `volume` (base asset) for a candle.
    """

    series: Series
    ts_event: datetime
    values: dict[str, float]
    known_at: datetime
    event_end: datetime
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def price(self) -> float:
        """The last price in the record: a tick's price, a candle's close."""
        return self.values["price" if self.series.kind == "tick" else "close"]


class NoPrice(ValueError):
    """A value that is not a positive finite number (a volume may be zero); `finite`: it is a number at least."""

    def __init__(self, series: Series, ts_event: datetime, name: str, value: Any) -> None:
        super().__init__(f"{series} at {ts_event.isoformat()}: {name}={value!r} is not a positive finite number")
        self.series = series
        self.finite = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST


def history_record(
    series: Series,
    ts_event: datetime,
    values: dict[str, float],
    publish_lag: timedelta = timedelta(0),
    meta: dict[str, Any] | None = None,
) -> MarketRecord:
    """A record imported after the fact: known at its event's end plus the feed's declared publish lag.

    Raises ValueError, naming series and time, when it is not a record, and NoPrice for a value that is no price.
    """
    where = f"{series} at {ts_event.isoformat()}"
    if ts_event.utcoffset() != timedelta(0):
        raise ValueError(f"{where}: the time is not in UTC")
    if set(values) != set(VALUE_NAMES[series.kind]):
        raise ValueError(f"{where}: values {sorted(values)} are not {sorted(VALUE_NAMES[series.kind])}")
    for name, value in values.items():
        good = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST
        if not good or value < 0 or (value == 0 and name != "volume"):
            raise NoPrice(series, ts_event, name, value)
    end = ts_event + series.step
    return MarketRecord(series, ts_event, values, end + publish_lag, end, meta or {})


def utc(text: str) -> datetime:
    """An ISO-8601 time with its zone (`2023-03-24T12:40Z`) as UTC; ValueError when it has no zone."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone; write it as UTC: {text}Z")
    return moment.astimezone(UTC)
