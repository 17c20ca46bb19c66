"""Stretches of time `(start, end]`, and what of one others leave uncovered."""

from collections.abc import Iterable
from datetime import datetime

Range = tuple[datetime, datetime]


def merge_ranges(ranges: Iterable[Range]) -> list[Range]:
    """Overlapping and touching ranges made one, in order."""
    merged: list[Range] = []
    for start, end in sorted(ranges):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def without(span: Range, ranges: Iterable[Range]) -> list[Range]:
    """What of the span is in none of the ranges, in order."""
    left, at = [], span[0]
    for start, end in merge_ranges(ranges):
        if at < min(start, span[1]):
            left.append((at, min(start, span[1])))
        at = max(at, end)
    return [*left, (at, span[1])] if at < span[1] else left
