"""The decision which closed windows to ask a run for, on counts alone."""

from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator_dagster.sensors.closed_windows import (
    ASK_AGAIN,
    ASK_AGAIN_OVERDUE,
    MOST_OPEN,
    Decision,
    Progress,
    Unsettled,
    catching_up,
    decide,
)
from coordinator_dagster.store.settling import Standing
from coordinator_dagster.windows import Window, WindowGrid
from slots.market import utc

START, HOUR = utc("2026-01-05T00:00Z"), timedelta(hours=1)
DUE, LOOK_BACK = 60, timedelta(hours=168)
SETTLED = Standing(ended=DUE, final=True)
WAITS = Standing(ended=DUE - 3, waiting=3, final=False)
OPEN = Standing(ended=DUE - 3, final=False)
OVERDUE = replace(OPEN, overdue=3)
INTERIM = Standing(ended=DUE, final=False)
UNBEGUN = Standing()


def windows(count: int) -> list[Window]:
    return WindowGrid(START, HOUR).between(START, START + count * HOUR)


def decided(progress: Progress, standings: list[Standing], now: datetime, tape: datetime | None = None) -> Decision:
    every = windows(len(standings))
    by_start = {one.start: standing for one, standing in zip(every, standings, strict=True)}
    return decide(progress, every, dict.fromkeys(every, DUE), by_start, tape or every[-1].end, LOOK_BACK, now)


def asked(standings: list[Standing], progress: Progress | None = None, after: timedelta = HOUR) -> list[int]:
    """Which of the windows, by number, as long after the last one's end."""
    now = START + len(standings) * HOUR + after
    return [
        int((one.start - START) / HOUR) for one in decided(progress or Progress(unsettled={}), standings, now).asked
    ]


def test_what_needs_a_run() -> None:
    assert asked([SETTLED, UNBEGUN, OPEN, OVERDUE, SETTLED]) == [1, 2, 3]
    assert asked([SETTLED, WAITS]) == [], "its data are still to come"
    assert asked([SETTLED, replace(WAITS, final=None)]) == [1], "it has no board"
    assert asked([SETTLED, INTERIM]) == [1], "nothing is open: nobody ranked it"
    assert asked([WAITS, INTERIM]) == [], "what it looks back on is open"


def test_what_was_asked_rests_until_it_changes_or_has_rested_long_enough() -> None:
    now = START + 2 * HOUR
    for standing, rest in ((OPEN, ASK_AGAIN), (OVERDUE, ASK_AGAIN_OVERDUE)):
        progress = Progress(unsettled={START: Unsettled(asked=now)})
        progress.unsettled = decided(progress, [standing], now).unsettled
        assert progress.unsettled[START].mark, "how it stood after the run"
        assert not decided(progress, [standing], now + rest - timedelta(seconds=1)).asked
        assert decided(progress, [standing], now + rest).asked
        for changed in (replace(standing, ended=DUE - 2), replace(standing, gaps_changed=now)):
            assert decided(progress, [changed], now + timedelta(seconds=30)).asked
        assert decided(progress, [standing], now, tape=START).asked, "the tape holds less or more of it"


def test_what_nobody_but_the_operator_can_settle_is_asked_for_once_a_day() -> None:
    late = START + timedelta(days=3)
    progress = Progress(unsettled={START: Unsettled(asked=late)})
    progress.unsettled = decided(progress, [OVERDUE], late).unsettled
    assert not decided(progress, [OVERDUE], late + timedelta(hours=23)).asked
    assert decided(progress, [OVERDUE], late + timedelta(hours=24)).asked


def test_the_cursor_stays_small() -> None:
    found = decided(Progress(), [OPEN] * (MOST_OPEN + 50), START + timedelta(days=30))
    assert len(found.unsettled) == MOST_OPEN
    assert max(found.unsettled) == START + (MOST_OPEN + 49) * HOUR, "the newest are kept"
    assert len(Progress(unsettled=found.unsettled).model_dump_json()) < 60_000


def test_a_tape_that_comes_nearer_is_catching_up() -> None:
    step = timedelta(minutes=1)
    assert not catching_up(Progress(behind=100), None, step)
    assert catching_up(Progress(), 3_600, step), "it may have just begun"
    assert catching_up(Progress(behind=3_600), 3_000, step)
    assert not catching_up(Progress(behind=3_600), 3_630, step), "it stands still"
    assert not catching_up(Progress(behind=3_600), 3_570, step), "a candle late by nature"


STANDINGS = st.sampled_from([SETTLED, WAITS, OPEN, OVERDUE, INTERIM, UNBEGUN])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3_000), st.lists(STANDINGS, min_size=4, max_size=4)), max_size=40))
def test_no_storm_whatever_happens(history: list[tuple[int, list[Standing]]]) -> None:
    """Runs that settle nothing: a window that stays as it is is not asked for again within minutes."""
    now, progress = START + 4 * HOUR, Progress()
    asked_at: dict[Window, datetime] = {}
    stood: list[Standing] = []
    for seconds, standings in history:
        now += timedelta(seconds=seconds)
        found = decided(progress, standings, now)
        progress = Progress.model_validate_json(Progress(unsettled=found.unsettled).model_dump_json())
        for number, (window, standing) in enumerate(zip(windows(4), standings, strict=True)):
            if stood and standing != stood[number]:
                asked_at.pop(window, None)
            if standing == SETTLED:
                assert window not in found.asked and window.start not in progress.unsettled
            else:
                assert window.start in progress.unsettled, "what is not settled is not forgotten"
            if window in found.asked:
                assert standing != WAITS, "its data are still to come"
                assert now - asked_at.get(window, START - HOUR) >= ASK_AGAIN_OVERDUE
                asked_at[window] = now
                progress.unsettled[window.start] = Unsettled(asked=now)
        stood = standings
