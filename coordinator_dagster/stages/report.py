"""What the report UI shows: columns and widgets, checked against what it can read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from coordinator_dagster.competition import Competition
from coordinator_dagster.stages.numbers import not_json
from slots.loader import SlotFailure

if TYPE_CHECKING:
    from coordinator_dagster.store.store import Store

KEYS = ("schema_version", "leaderboard_columns", "metrics_widgets")


class _Strict(BaseModel):
    """What the web app and the pages here need of an object; it may hold more."""

    model_config = ConfigDict(strict=True, extra="allow")


class _Native(_Strict):
    type: str | None = None
    seriesConfig: list[dict[str, Any]] | None = None
    filterConfig: list[dict[str, Any]] | None = None


class _Item(_Strict):
    type: str
    displayName: str
    tooltip: str | None = None
    order: int | None = None
    nativeConfiguration: _Native | None = None


class _Column(_Item):
    property: str
    format: str | None = None


class _Widget(_Item):
    endpointUrl: str


SHAPES: dict[str, type[_Item]] = {"leaderboard_columns": _Column, "metrics_widgets": _Widget}


def provide_report_schema(competition: Competition, store: Store) -> dict[str, Any]:
    """The slot's schema, stored; SlotFailure when it is none."""
    schema = asked_report_schema(competition)
    store.boards.put_report_schema(schema)
    return schema


def asked_report_schema(competition: Competition) -> dict[str, Any]:
    """The slot's schema; SlotFailure when it is none."""
    slot = competition.slots("REPORT_SCHEMA_PROVIDER")["REPORT_SCHEMA_PROVIDER"]
    schema: dict[str, Any] = slot()
    if fault := report_schema_fault(schema):
        raise SlotFailure(f"{slot.at}: {fault}")
    return schema


def report_schema_fault(schema: Any) -> str | None:
    """What is wrong with a report schema; None: nothing."""
    if not isinstance(schema, dict) or any(key not in schema for key in KEYS):
        return f"must return an object with {', '.join(KEYS)}"
    faults = []
    for key, shape in SHAPES.items():
        items = schema[key]
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            return f"{key} must be a list of objects"
        ids = [item.get("id") for item in items]
        if not all(isinstance(one, int) for one in ids) or len(set(ids)) != len(ids):
            return f"{key}: every item needs an id of its own, a whole number; found {ids}"
        faults += [f"{key}: id {item['id']}: {fault}" for item in items for fault in _faults(shape, item)]
    return "; ".join(faults) or not_json(schema)


def _faults(shape: type[_Item], item: dict[str, Any]) -> list[str]:
    """Each field of an item that is not as it must be."""
    try:
        shape.model_validate(item)
    except ValidationError as error:
        return [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
    return []
