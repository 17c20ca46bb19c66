"""How the numbers of a board are written, and what of them is sorted by."""

import pytest

from coordinator_dagster.report.pages.columns import Column, cell, written


@pytest.mark.parametrize(
    ("value", "form", "shown"),
    [
        (-1.23456, "decimal-2", "−1.23"),
        (-0.001, "decimal-2", "0.00"),
        (1.5, "decimal:0", "2"),
        (0.12345, "percentage", "12.35%"),
        (1234567.0, "compact", "1.2M"),
        (999.0, "compact", "999"),
        (1234.5, "integer", "1,234"),
        (1234.5, "number", "1,234.5"),
        (3, None, "3"),
        (None, "decimal-2", "–"),
        ("text", "decimal-2", "text"),
        (True, "integer", "True"),
    ],
)
def test_numbers_are_written_as_the_web_app_does(value: object, form: str | None, shown: str) -> None:
    assert written(value, form) == shown


def test_only_numbers_are_sorted_by() -> None:
    column = Column("a", "A", "")
    assert [cell(column, {"a": value}).number for value in (2.5, None, "9", True)] == [2.5, None, None, None]
    assert cell(column, {}).number is None
