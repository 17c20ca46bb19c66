"""Gaps: a hole in the tape is a row with a state, however long it is, and ends."""

from collections.abc import Callable

import pytest

from coordinator_dagster.clock import FixedClock
from coordinator_dagster.competition import Competition
from tests.original_faults.conftest import WritePack
from tests.original_faults.world import (
    HOUR,
    MINUTE,
    START,
    FailingFeed,
    always,
    opened,
    perform,
    rows,
    settle,
    windows_of,
)

Make = Callable[..., Competition]
MISSING = 520
GAPS = "select gap_start, gap_end, state, reason from market_gaps order by 1"
HELD = "select count(*) as n from market_records where ts_event >= :start and ts_event < :end"


def test_a_start_up_gap_of_over_500_records_stays_a_hole(competition: Make) -> None:
    """A start-up gap of over 500 records stays a hole. Fetched again with the tape, it is closed."""
    gap = (START - 9 * HOUR, START - 9 * HOUR + MISSING * MINUTE)
    made = competition(feed_backfill_minutes=600, competition_end="2026-01-05T01:00Z")
    feed = FailingFeed(FixedClock(START + HOUR), withheld=[gap])
    with opened(made, {"a": always(0.0)}, feed=feed, clock=feed.clock) as runtime:
        assert runtime.ingest(windows_of(made)).gaps == 1
        assert [tuple(row.values())[:3] for row in rows(runtime, GAPS)] == [(*gap, "open")]
        assert rows(runtime, GAPS)[0]["reason"] == "the venue has not served these candles yet"
        feed.withheld = [(gap[0] + 100 * MINUTE, gap[1])]
        assert runtime.ingest(windows_of(made)).gaps == 1
        assert [tuple(row.values())[:3] for row in rows(runtime, GAPS)] == [(*feed.withheld[0], "open")], "half filled"
        feed.withheld = []
        report = runtime.ingest(windows_of(made))
        assert (report.new, report.gaps) == (MISSING - 100, 0)
        assert [(row["state"], row["reason"]) for row in rows(runtime, GAPS)] == [
            ("CLOSED", "the missing candles came")
        ]
        assert rows(runtime, HELD, start=gap[0], end=gap[1]) == [{"n": MISSING}]


def test_a_start_up_gap_of_over_500_records_stays_a_hole_until_a_truth_needs_it(
    competition: Make, pack: WritePack
) -> None:
    """A start-up gap of over 500 records stays a hole. What waits for it fetches all of it again."""
    gap = (START - HOUR, START - HOUR + MISSING * MINUTE)
    made = competition(pack=pack(1800, 900), competition_end="2026-01-05T09:00Z")
    feed = FailingFeed(FixedClock(START + 9 * HOUR), withheld=[gap])
    with opened(made, {"a": always(0.0)}, feed=feed, clock=feed.clock) as runtime:
        perform(runtime, windows_of(made))
        settle(runtime, windows_of(made))
        assert [tuple(row.values())[:3] for row in rows(runtime, GAPS)] == [(*gap, "healing")]
        assert rows(runtime, "select count(*) as n from ground_truths") == [{"n": 2}], "08:00 and 08:30 only"
        feed.withheld = []
        report = runtime.resolve(windows_of(made))
        assert (report.resolved, report.pending) == (16, 0)
        assert [(row["state"], row["gap_end"] - row["gap_start"]) for row in rows(runtime, GAPS)] == [
            ("CLOSED", MISSING * MINUTE)
        ]
        assert rows(runtime, HELD, start=gap[0], end=gap[1]) == [{"n": MISSING}]


@pytest.mark.parametrize("needed", [True, False])
def test_a_start_up_gap_of_over_500_records_stays_a_hole_for_a_day_at_most(
    competition: Make, pack: WritePack, needed: bool
) -> None:
    """A start-up gap of over 500 records stays a hole. One that the venue never serves is given up after a day."""
    first = START - HOUR if needed else START - 9 * HOUR
    gap = (first, first + MISSING * MINUTE)
    made = competition(pack=pack(1800, 900), competition_end="2026-01-05T09:00Z", feed_backfill_minutes=600)
    feed = FailingFeed(FixedClock(START + 9 * HOUR), withheld=[gap])
    with opened(made, {"a": always(0.0)}, feed=feed, clock=feed.clock) as runtime:
        for hours in (9, 9 + 26):
            feed.clock.moment = START + hours * HOUR
            perform(runtime, windows_of(made))
            settle(runtime, windows_of(made))
        (row,) = rows(runtime, GAPS)
        assert (row["gap_start"], row["gap_end"]) == gap
        assert row["state"] == "GIVEN_UP", "every state ends"
        assert "within a day" in row["reason"]
