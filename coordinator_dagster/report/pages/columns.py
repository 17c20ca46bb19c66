"""A leaderboard's columns of numbers: which, under what name, and how they are written."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coordinator_dagster.report.names import as_object
from coordinator_dagster.stages.numbers import is_number

# These are columns of every leaderboard here, whatever the schema says of them.
OWN_TYPES = {"PROJECT", "MODEL", "USERNAME"}
OWN = {"rank", "model_id", "model_name", "cruncher_name", "coverage", "answered", "due", "unranked_reason"}
UNITS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K"))
LONG = 6  # significant digits of a number without a format


@dataclass(frozen=True)
class Column:
    """`parts`: for a gauge, the names and labels of the numbers it puts together; else empty."""

    key: str
    title: str
    tooltip: str
    form: str | None = None
    parts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Cell:
    """What is shown, and the number to sort by; None: it has none."""

    text: str
    number: float | None


def columns(schema: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> list[Column]:
    """Those of the competition's report schema; where it lists no number, every metric of the entries."""
    listed = sorted(schema["leaderboard_columns"], key=_order)
    found = [
        _column(one)
        for one in listed
        if str(one.get("type")) not in OWN_TYPES and isinstance(one.get("property"), str) and one["property"] not in OWN
    ]
    names = dict.fromkeys(name for entry in entries for name in entry["score"]["metrics"])
    return found or [Column(name, name, "", "decimal-3") for name in names]


# A schema may be older than the checks of it: what is not as it must be is passed over.
def _order(one: Mapping[str, Any]) -> float:
    order = one.get("order")
    return order if is_number(order) else 0


def _column(one: Mapping[str, Any]) -> Column:
    gauge, form = as_object(one.get("nativeConfiguration")), one.get("format")
    found = gauge.get("seriesConfig") if gauge.get("type") == "gauge" else None
    parts = [as_object(part) for part in found] if isinstance(found, list) else []
    return Column(
        one["property"],
        str(one.get("displayName") or one["property"]),
        str(one.get("tooltip") or ""),
        form if isinstance(form, str) else None,
        tuple((str(part.get("name")), str(part.get("label") or part.get("name"))) for part in parts),
    )


def cell(column: Column, row: Mapping[str, Any]) -> Cell:
    """One model's value of a column; `row` has everything at its top level, as the web app's rows have."""
    if column.parts:
        return Cell(" / ".join(written(row.get(name), "number") for name, _ in column.parts), None)
    value = row.get(column.key)
    return Cell(written(value, column.form), value if is_number(value) else None)


def written(value: Any, form: str | None) -> str:
    """As the web app writes it; what is no number as it is, a dash for none."""
    if value is None:
        return "–"
    if not is_number(value):
        return str(value)
    if found := re.fullmatch(r"decimal[-:](\d{1,2})", form or ""):
        return _signed(f"{value:.{found[1]}f}")
    if form == "percentage":
        return _signed(f"{value * 100:.2f}%")
    if form == "integer":
        return _signed(f"{value:,.0f}")
    if form == "number":
        return _signed(f"{value:,.3f}".rstrip("0").rstrip("."))
    if form == "compact":
        scale, unit = next((one for one in UNITS if abs(value) >= one[0]), (1, ""))
        return _signed(f"{value / scale:.1f}".removesuffix(".0") + unit)
    return _signed(f"{value:.{LONG}g}")


def _signed(text: str) -> str:
    """A minus as wide as a digit, and none before zero."""
    return text if not text.startswith("-") else "−" + text[1:] if re.search("[1-9]", text) else text[1:]
