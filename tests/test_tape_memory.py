"""The tape in memory says what the table says, in whatever order records come."""

from collections.abc import Callable
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator_dagster.competition import Competition
from coordinator_dagster.runtime import open_runtime
from coordinator_dagster.store.tape_memory import TapeMemory
from slots.market import Series, history_record, utc

START = utc("2026-01-05T00:00Z")
SECOND = timedelta(seconds=1)
LOOK_BACK = 8


def test_it_equals_the_table(competition: Callable[..., Competition]) -> None:
    with open_runtime(competition()) as runtime:
        tape, numbers = runtime.store.tape, iter(range(1_000_000))

        @settings(max_examples=25, deadline=None)
        @given(
            st.lists(st.lists(st.integers(0, 40), max_size=6), max_size=8),
            st.integers(0, 41),
            st.integers(1, LOOK_BACK),
        )
        def check(batches: list[list[int]], end: int, count: int) -> None:
            series = Series("test", f"A{next(numbers)}", "tick", "1s")
            memory = TapeMemory(tape, [series], LOOK_BACK)
            for batch in batches:
                records = [history_record(series, START + n * SECOND, {"price": n + 1}) for n in sorted(set(batch))]
                tape.add(series, records, (START, START), START)
                with tape.held() as connection:
                    memory.refresh(connection)
                until = START + end * SECOND
                assert memory.upto(series, until, count) == tape.upto(series, until, count)
                since = until - count * SECOND
                assert memory.between(series, since, until) == tape.between(series, since, until)

        check()
