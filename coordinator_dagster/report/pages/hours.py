"""How complete a series is, hour by hour."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from coordinator_dagster.ranges import Range
from slots.market import granularity_seconds

HOUR = timedelta(hours=1)
SHOWN = 48
State = Literal["whole", "partly", "none", "outside"]


@dataclass(frozen=True)
class Hour:
    """`said` is what there is of it, for people; `outside`: before the series began, or still to come."""

    start: datetime
    state: State
    said: str


def hours_until(end: datetime) -> list[datetime]:
    """The starts of the hours that are shown, the last of which holds `end`."""
    last = (end - timedelta(microseconds=1)).replace(minute=0, second=0, microsecond=0)
    return [last - place * HOUR for place in range(SHOWN)][::-1]


def hours_of(
    series: Any, starts: Sequence[datetime], counts: Mapping[tuple[str, datetime], int], missing: Sequence[Range]
) -> list[Hour]:
    """Of each hour how many candles are there; of ticks, which come when they like, how much is known."""
    counted = series.kind == "candle" and granularity_seconds(series.granularity) <= HOUR.total_seconds()
    return _counted(series, starts, counts) if counted else _known(series, starts, missing)


def _counted(series: Any, starts: Sequence[datetime], counts: Mapping[tuple[str, datetime], int]) -> list[Hour]:
    """The candles that are there, of those that have closed."""
    step = timedelta(seconds=granularity_seconds(series.granularity))
    covered = _ranges(series.covered)
    found = []
    for start in starts:
        known = _part((start, start + HOUR), covered)
        due = (known[1] - known[0]) // step if known else 0
        count = counts.get((series.series, start), 0)
        state: State = "outside" if not due else "none" if not count else "whole" if count >= due else "partly"
        found.append(Hour(start, state, f"{min(count, due)} of {due} candles" if due else "nothing due"))
    return found


def _known(series: Any, starts: Sequence[datetime], missing: Sequence[Range]) -> list[Hour]:
    """How much its feed has answered, less what is known to be missing."""
    covered = _ranges(series.covered)
    found = []
    for start in starts:
        known = _part((start, start + HOUR), covered)
        if known is None:
            found.append(Hour(start, "outside", "nothing due"))
            continue
        there = _overlap(known, covered) - _overlap(known, missing)
        share = max(0.0, there / (known[1] - known[0]))
        state: State = "whole" if share >= 1 else "partly" if share > 0 else "none"
        found.append(Hour(start, state, f"{share:.1%} known"))
    return found


def _ranges(covered: Sequence[Sequence[str]]) -> list[Range]:
    return [(datetime.fromisoformat(start), datetime.fromisoformat(end)) for start, end in covered]


def _part(hour: Range, covered: Sequence[Range]) -> Range | None:
    """What of the hour lies between the first and the last that was answered."""
    if not covered:
        return None
    start, end = max(hour[0], covered[0][0]), min(hour[1], covered[-1][1])
    return (start, end) if start < end else None


def _overlap(span: Range, ranges: Sequence[Range]) -> timedelta:
    """How much of a span ranges that do not overlap take up."""
    parts = [min(span[1], end) - max(span[0], start) for start, end in ranges]
    return sum((part for part in parts if part > timedelta(0)), timedelta(0))
