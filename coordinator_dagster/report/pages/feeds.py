"""`/feeds`: how complete the market data are, and what is missing of them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fastapi import Request, Response

from coordinator_dagster.ranges import Range
from coordinator_dagster.report.opened import Here, Opened
from coordinator_dagster.report.pages.columns import written
from coordinator_dagster.report.pages.hours import HOUR, Hour, hours_of, hours_until
from coordinator_dagster.report.pages.site import answer, html, nav, page_router
from coordinator_dagster.report.pages.standing import Standing, standing
from coordinator_dagster.report.reasons import public_gap_reason
from coordinator_dagster.report.rendered import Rendered
from coordinator_dagster.store.report.tape_hours import TapeHours

router = page_router()
KEPT_SECONDS = 5
# What became of records that were not simply new, for people.
FATES = {
    "duplicate": "came again, the same: passed over",
    "restated": "came again with other values: the first stays, the other is kept beside it",
    "late": "came after the series had been complete: known from then on",
    "disordered": "came after a later one: put in its place",
    "future": "of a time that had not come: refused",
    "non_finite": "without a finite number: refused, and asked for again",
    "not_positive": "with a price of zero or less: refused, and asked for again",
}


@dataclass(frozen=True)
class Feed:
    """A series: `status` is what `TapeStatus.series` has of it."""

    status: Any
    hours: Sequence[Hour]

    @property
    def said(self) -> str:
        """The hours in a sentence."""
        due = [hour for hour in self.hours if hour.state != "outside"]
        whole = sum(hour.state == "whole" for hour in due)
        return f"{whole} of {len(due)} hours are complete." if due else "Nothing of the last 48 hours was due."

    @property
    def wanting(self) -> list[Hour]:
        return [hour for hour in self.hours if hour.state in ("partly", "none")]

    @property
    def known_after(self) -> str:
        """How long after a record's end it was known."""
        return f"{_duration(self.status.median)}, 99 of 100 within {_duration(self.status.slow)}"


@router.get("/feeds")
def feeds(request: Request, here: Here) -> Response:
    """Every series of the tape."""
    found = standing(here)
    end = here.clock.now() if here.competition.settings.mode == "live" else None
    # Whether a gap of many has changed, nothing small tells: the page is made anew in any case.
    stamp = (found.tape_stamp, int(time.monotonic() / KEPT_SECONDS))
    return answer(request, here.kept.get("feeds page", stamp, lambda: _page(here, found, end)))


def _page(here: Opened, found: Standing, end: datetime | None) -> Rendered:
    status = here.store.tape_status if found.begun else None
    return html(
        "feeds.html",
        name=here.competition.settings.competition,
        nav=nav("/feeds", found.has_feeds),
        standing=found,
        feeds=_feeds(here, end) if found.has_feeds else [],
        gaps=[(gap, public_gap_reason(gap.reason)) for gap in status.gaps()] if status else [],
        fates=[(row, FATES.get(row.fate, row.fate)) for row in status.fates()] if status else [],
    )


def _feeds(here: Opened, end: datetime | None) -> list[Feed]:
    """Each series with its last hours: those until `end`, or, in a replay, until the newest that is known."""
    tape = TapeHours(here.database)
    answered = tape.answered()
    ends = [moment for one in answered for moment in (one.complete_through, one.last_event_ts) if moment]
    latest = end or max(ends, default=None)
    starts = hours_until(latest) if latest else []
    if not starts:
        return [Feed(status, []) for status in here.store.tape_status.series()]
    span = starts[0], starts[-1] + HOUR
    counts, missing = tape.candles(*span), tape.missing(*span)
    gaps: dict[str, list[Range]] = {}
    for gap in missing:
        gaps.setdefault(gap.series, []).append((gap.gap_start, gap.gap_end))
    hours = {one.series: hours_of(one, starts, counts, gaps.get(one.series, [])) for one in answered}
    return [Feed(status, hours.get(status.series, [])) for status in here.store.tape_status.series()]


def _duration(milliseconds: float | None) -> str:
    if milliseconds is None:
        return "–"
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{written(milliseconds / 1000, 'decimal-1')} s"
