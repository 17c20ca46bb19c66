"""What may be stored as JSON: the quick look says the same as the thorough one."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator_dagster.stages.numbers import DEEPEST, json_fault, not_json

WIDE = st.integers(-(2**65), 2**65)
VALUES = st.recursive(
    st.none() | st.booleans() | WIDE | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.tuples(inner) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(VALUES)
def test_the_quick_look_finds_what_the_thorough_one_finds(value: Any) -> None:
    assert json_fault(value) == not_json(value)


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (2**63 - 1, None),
        (2**63, "it is an integer of more than 64 bits"),
        ({"a": math.nan}, "it.a is nan, not a finite number"),
        ({"a": "\x00"}, "it.a holds characters that are no text"),
        ({"a": "\ud800"}, "it.a holds characters that are no text"),
        ({1: 2}, "it has a key 1 that is no text"),
        ({"a": {1}}, "it.a is a set, not JSON"),
        (nested(DEEPEST), None),
        (nested(400), f"it{'[0]' * DEEPEST} is nested more than {DEEPEST} deep"),
    ],
)
def test_what_is_wrong_is_named(value: Any, fault: str | None) -> None:
    assert json_fault(value) == fault


def test_a_number_of_numpys_is_refused_where_it_enters() -> None:
    numpy = pytest.importorskip("numpy")
    assert not_json(numpy.float64(1.0)) is None
    assert "numpy.float64" in (json_fault({"value": numpy.float64(1.0)}) or "")
