"""Time is cut without holes and without overlaps: instants, windows, runs of windows."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator_dagster.windows import LENGTHS, Window, WindowGrid, instants, stretches
from slots.tape import EPOCH, boundary

START = datetime(2024, 2, 28, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
grids = st.sampled_from(sorted(LENGTHS.values())).map(lambda length: WindowGrid(START, length))
moments = st.timedeltas(timedelta(0), timedelta(days=5)).map(lambda after: START + after)
boundaries = st.integers(0, 5 * 24).map(lambda hour: START + timedelta(hours=hour))
near = st.one_of(
    moments, boundaries, st.tuples(boundaries, st.sampled_from([-1, 1])).map(lambda p: p[0] + p[1] * MICROSECOND)
)
cadences = st.one_of(st.sampled_from([1, 7, 15, 60, 300, 3600, 86_400]), st.integers(10, 86_400)).map(
    lambda seconds: timedelta(seconds=seconds)
)


@given(grids, near, cadences.filter(lambda every: every >= timedelta(seconds=7)))
def test_instants_are_all_the_multiples_of_the_cadence_in_the_window(
    grid: WindowGrid, moment: datetime, every: timedelta
) -> None:
    window = grid.at(moment)
    first = -((EPOCH - window.start) // every)
    last = (window.end - MICROSECOND - EPOCH) // every
    assert list(instants(window, every)) == [EPOCH + number * every for number in range(first, last + 1)]


@given(grids, moments, cadences.filter(lambda every: every >= timedelta(minutes=1)))
def test_each_instant_is_in_exactly_one_window(grid: WindowGrid, moment: datetime, every: timedelta) -> None:
    windows = grid.between(START, grid.at(moment).end)
    found = [t for window in windows for t in instants(window, every)]
    assert found == list(instants(Window(START, windows[-1].end), every))
    assert all(grid.at(t) == window for window in windows for t in instants(window, every))


@given(grids, near)
def test_a_moment_is_in_the_window_at_it_and_in_no_other(grid: WindowGrid, moment: datetime) -> None:
    window = grid.at(moment)
    assert window.start <= moment < window.end
    assert window.end - window.start == grid.length
    assert window.start == boundary(window.start, grid.length)


@given(grids, near)
def test_what_is_resolvable_is_counted_by_exactly_one_board(grid: WindowGrid, moment: datetime) -> None:
    window = grid.resolving(moment)
    assert window.start < moment <= window.end
    assert window == grid.at(window.start)


@given(grids, near, near)
def test_between_gives_the_windows_that_hold_the_instants_from_start_to_end(
    grid: WindowGrid, start: datetime, end: datetime
) -> None:
    windows = grid.between(start, end)
    if max(start, START) >= end:
        assert all(window.start < end for window in windows)
        return
    assert windows[0] == grid.at(max(start, START))
    assert windows[-1] == grid.at(end - MICROSECOND)
    assert all(one.end == other.start for one, other in itertools.pairwise(windows))


def test_no_window_is_before_the_start_or_in_an_empty_range() -> None:
    grid = WindowGrid(START, LENGTHS["hour"])
    hour = timedelta(hours=1)
    assert grid.between(START - 9 * hour, START) == []
    assert grid.between(START - 9 * hour, START + hour) == [Window(START, START + hour)]
    assert grid.between(START + hour, START + hour) == []
    assert grid.between(START + 2 * hour, START + hour) == []


@given(grids, near)
def test_a_key_names_its_window(grid: WindowGrid, moment: datetime) -> None:
    window = grid.at(moment)
    assert grid.of_key(window.key) == window


@pytest.mark.parametrize(("length", "key"), [("hour", "2024-02-29-23:00"), ("day", "2024-02-29")])
def test_keys_are_dagsters(length: str, key: str) -> None:
    window = WindowGrid(START, LENGTHS[length]).of_key(key)
    assert window.key == key
    assert window.end == datetime(2024, 3, 1, tzinfo=UTC)


@given(grids, st.sets(st.integers(0, 40)), st.integers(1, 9))
def test_stretches_keep_every_window_once_in_runs_without_holes(
    grid: WindowGrid, places: set[int], at_most: int
) -> None:
    windows = [grid.at(START + place * grid.length) for place in places]
    runs = list(stretches(windows, at_most))
    assert [window for run in runs for window in run] == sorted(windows)
    assert all(0 < len(run) <= at_most for run in runs)
    assert all(one.end == other.start for run in runs for one, other in itertools.pairwise(run))
    for run, following in itertools.pairwise(runs):
        assert len(run) == at_most or run[-1].end < following[0].start, "two runs that could be one"


@given(moments, cadences)
def test_a_boundary_is_the_last_multiple_at_or_before(moment: datetime, step: timedelta) -> None:
    found = boundary(moment, step)
    assert found <= moment < found + step
    assert (found - EPOCH) % step == timedelta(0)
