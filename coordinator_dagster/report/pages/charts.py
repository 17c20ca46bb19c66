"""What the charts show. A chart is a table of its points: scripts draw it, and it can be read without them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any

from coordinator_dagster.report.names import as_object
from coordinator_dagster.report.pages.columns import Column, written
from coordinator_dagster.stages.numbers import is_number

PER_SCOPE = 200  # forecasts drawn beside their truths
BASIS_POINTS = 10_000
# The default competitions answer a `value` and learn a `return`, both fractions; others may use names of their own.
DEFAULT_PAIR = ("value", "return")


@dataclass(frozen=True)
class Chart:
    """`rows`: a moment and a number (None: a gap) for each of `series`, oldest first.

    `said` is the chart in a sentence; `unit` stands at its axis; `note` is what is said where there is nothing to draw.
    """

    name: str
    title: str
    unit: str = ""
    series: Sequence[str] = ()
    rows: Sequence[tuple[datetime, Sequence[float | None]]] = ()
    said: str = ""
    note: str = ""
    digits: int = 3
    dots: bool = False
    marked: str | None = None  # the series that the others are compared with


def metrics_over_time(past: Sequence[Any], shown: Sequence[Column]) -> list[Chart]:
    """Every metric of a model in one chart, by the ends of the windows; none where nothing has been scored."""
    titles = {column.key.removeprefix("score_"): column.title for column in shown}
    every = {name: None for row in past for name in row.score["metrics"]}
    names = sorted(every, key=lambda name: _place(list(titles), name.removeprefix("score_")))
    if not names:
        return []
    rows = [(row.at, [row.score["metrics"].get(name) for name in names]) for row in past]
    series = [titles.get(name.removeprefix("score_"), name) for name in names]
    newest = rows[-1][1]
    now = ", ".join(f"{name} {written(value, 'decimal-3')}" for name, value in zip(series, newest, strict=True))
    said = f"{len(rows)} windows. Newest: {now}."
    return [Chart("metrics", "Scores through time", "score", series, rows, said)]


def per_scope(newest: Sequence[Any]) -> list[Chart]:
    """For each scope the newest forecasts beside the truth that came."""
    ordered = sorted(newest, key=attrgetter("scope_key"))
    return [_beside_truth(scope, list(rows)) for scope, rows in groupby(ordered, key=attrgetter("scope_key"))]


def _beside_truth(scope: str, newest: Sequence[Any]) -> Chart:
    known = sorted((row for row in newest if row.truth is not None), key=attrgetter("performed_at"))[-PER_SCOPE:]
    pairs = _pairs(known)
    if not pairs:
        why = "have numbers under the same name" if known else "have both come yet"
        return Chart(scope, scope, note=f"No chart: no forecast and truth of this scope {why}.")
    returns = pairs == [DEFAULT_PAIR]
    scale = BASIS_POINTS if returns else 1
    series = [
        text
        for mine, true in pairs
        for text in ((mine, f"{true} (truth)") if len(pairs) > 1 else ("forecast", "truth"))
    ]
    rows = [
        (
            row.resolvable_at,
            [
                _scaled(part.get(name), scale)
                for pair in pairs
                for part, name in zip((as_object(row.output), as_object(row.truth)), pair, strict=True)
            ],
        )
        for row in known
    ]
    errors = [abs(one[0] - one[1]) for _, one in rows if one[0] is not None and one[1] is not None]
    unit = "return, bp" if returns else pairs[0][0]
    mean = (
        f" It was off by {math.fsum(errors) / len(errors):.3f} {'bp ' if returns else ''}on average." if errors else ""
    )
    said = f"The newest {len(rows)} forecasts whose truth is known.{mean}"
    return Chart(scope, scope, unit, series, rows, said, marked=series[1])


def _pairs(known: Sequence[Any]) -> list[tuple[str, str]]:
    """Which numbers of an answer are compared with which of its truth."""
    both = [(as_object(row.output), as_object(row.truth)) for row in known]
    if any(is_number(mine.get(DEFAULT_PAIR[0])) and is_number(true.get(DEFAULT_PAIR[1])) for mine, true in both):
        return [DEFAULT_PAIR]
    same = {name for mine, true in both for name in mine if is_number(mine[name]) and is_number(true.get(name))}
    return [(name, name) for name in sorted(same)][:2]


def latency(newest: Sequence[Any]) -> Chart:
    """How long the model took in the newest cycles, milliseconds."""
    rows = [(row.performed_at, [row.exec_time_ms]) for row in reversed(newest) if row.exec_time_ms is not None]
    if not rows:
        return Chart("latency", "Time to answer", note="No chart: no call has been timed in the newest cycles.")
    times = sorted(values[0] for _, values in rows)
    half, slow = (times[max(0, math.ceil(share * len(times)) - 1)] for share in (0.5, 0.99))
    said = f"Half of the {len(times)} newest calls took at most {half:.2f} ms, 99 of 100 at most {slow:.2f} ms."
    return Chart("latency", "Time to answer", "ms", ["ms"], rows, said, digits=2, dots=True)


def _place(ordered: Sequence[str], name: str) -> int:
    return ordered.index(name) if name in ordered else len(ordered)


def _scaled(value: Any, scale: float) -> float | None:
    return value * scale if is_number(value) else None
