"""Which fields a report schema may name: those of the rows it is shown with."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from coordinator_dagster.faults import nearest
from coordinator_dagster.report.rows import board_row, metrics_row, prediction_row, scope_row

AT = datetime(2026, 1, 1, tzinfo=UTC)
JOINED = {"model_name", "cruncher_name"}  # the web app adds them to every row


def name_faults(
    schema: Mapping[str, Any], entries: Sequence[Mapping[str, Any]], scopes: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Each name in the schema that no row has: of such entries, and forecasts with these scopes."""
    board = {name for entry in entries for name in board_row({"rank": 1, **entry}, AT, "active")} | JOINED
    rows = rows_by_endpoint(entries, scopes)
    found = [
        f"leaderboard_columns: {label}={name}: no entry has it{nearest(name, sorted(board))}"
        for column in schema["leaderboard_columns"]
        for label, name in _names_of_column(column)
        if name not in board
    ]
    for widget in schema["metrics_widgets"]:
        if widget.get("type") != "IFRAME":
            found += [f"metrics_widgets: {fault}" for fault in _widget_faults(widget, rows)]
    return found


def rows_by_endpoint(entries: Sequence[Mapping[str, Any]], scopes: Sequence[Mapping[str, Any]]) -> dict[str, set[str]]:
    """The fields of each endpoint's rows."""
    metrics = {name for one in entries for name in metrics_row("", one["score"], AT)}
    by_scope = {
        name for one in entries for scope in scopes or [{}] for name in scope_row("", one["score"], AT, "", scope)
    }
    unscored = dict.fromkeys(
        ("model_id", "prediction_config_id", "scope_key", "status", "score_status", "score_value", "score_success")
    ) | {"score_failed_reason": None, "scored_at": None, "performed_at": AT}
    return {
        **dict.fromkeys(("/reports/models/global", "/reports/models/summary", "/reports/models/metrics"), metrics),
        "/reports/models/params": by_scope,
        "/reports/predictions": {name for one in scopes or [{}] for name in prediction_row({**unscored, "scope": one})},
    }


def _widget_faults(widget: Mapping[str, Any], rows: Mapping[str, Collection[str]]) -> Iterator[str]:
    url = str(widget.get("endpointUrl"))
    fields = rows.get(url.split("?")[0])
    if fields is None:
        yield f"endpointUrl={url}: there is no such endpoint for a chart; use one of {', '.join(sorted(rows))}"
        return
    for label, name in _names_of_widget(widget):
        if name not in fields:
            yield f"{url}: {label}={name}: no row has it{nearest(name, sorted(fields))}"


def _names_of_column(column: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    native = as_object(column.get("nativeConfiguration"))
    if column.get("type") != "PROJECT" and native.get("type") != "gauge":
        yield "property", str(column.get("property"))
    yield from _named(native, "seriesConfig", "name")
    if "statusProperty" in native:
        yield "statusProperty", str(native["statusProperty"])


def _names_of_widget(widget: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    native = as_object(widget.get("nativeConfiguration"))
    yield "projectIdProperty", str(widget.get("projectIdProperty", "model_id"))
    for whole, key in (
        (native, "groupByProperty"),
        (native, "scopeProperty"),
        (as_object(native.get("xAxis")), "name"),
        (as_object(native.get("alertConfig")), "field"),
        (as_object(native.get("alertConfig")), "reasonField"),
    ):
        if whole.get(key):
            yield key, str(whole[key])
    yield from _named(as_object(native.get("yAxis")), "series", "name")
    yield from _named(native, "seriesConfig", "name")
    yield from _named(native, "filterConfig", "property")


def _named(whole: Mapping[str, Any], many: str, key: str) -> Iterator[tuple[str, str]]:
    several = whole.get(many)
    for one in several if isinstance(several, list) else []:
        yield f"{many}.{key}", str(as_object(one).get(key))


def as_object(value: Any) -> Mapping[str, Any]:
    """An empty one for what is none."""
    return value if isinstance(value, Mapping) else {}
