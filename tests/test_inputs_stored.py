"""A model is given the same bytes whether its input was just built or comes from the database."""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordinator_dagster.competition import Competition
from coordinator_dagster.runtime import open_runtime
from coordinator_dagster.stages.facts import StoredInput
from coordinator_dagster.stages.numbers import to_json
from coordinator_dagster.store.inputs import InputTable
from coordinator_dagster.windows import Window

TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=8)
FLOATS = st.floats(allow_nan=False, allow_infinity=False).filter(
    lambda x: not (x.is_integer() and abs(x) >= 1e16) and (x != 0 or math.copysign(1, x) == 1)
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | FLOATS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
HOUR = timedelta(hours=1)


def test_the_same_bytes_come_from_memory_and_from_the_database(competition: Callable[..., Competition]) -> None:
    made, start, hours = competition(), datetime(2026, 1, 5, tzinfo=UTC), count()
    with open_runtime(made) as runtime:

        @settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.dictionaries(TEXT, VALUES, max_size=6))
        def check(payload: dict[str, object]) -> None:
            t = start + next(hours) * HOUR
            window = Window(t, t + HOUR)
            table = runtime.store.inputs
            table.add([StoredInput(t, t, to_json(payload))])
            at_hand = table.of(window)[t].payload
            stored = InputTable(runtime.store.database).of(window)[t].payload
            assert at_hand == stored == to_json(payload)

        check()


def test_an_input_that_another_worker_had_stored_is_the_one_that_counts(
    competition: Callable[..., Competition],
) -> None:
    t = datetime(2026, 1, 5, tzinfo=UTC)
    with open_runtime(competition()) as runtime:
        InputTable(runtime.store.database).add([StoredInput(t, t, b'{"first":true}')])
        runtime.store.inputs.add([StoredInput(t, t, b'{"first":false}')])
        assert runtime.store.inputs.of(Window(t, t + HOUR))[t].payload == b'{"first":true}'
