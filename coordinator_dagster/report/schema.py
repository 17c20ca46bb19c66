"""`/reports/schema`: the columns and widgets that the slot REPORT_SCHEMA_PROVIDER gave."""

from typing import Any

from fastapi import APIRouter, Request, Response

from coordinator_dagster.report.opened import Here, Opened
from coordinator_dagster.report.problems import answers
from coordinator_dagster.report.rendered import json_answer
from coordinator_dagster.report.shapes import Column, ReportSchema, Widget

router = APIRouter(prefix="/reports/schema", tags=["report"])


@router.get("", response_model=ReportSchema, responses=answers(304))
def schema(request: Request, here: Here) -> Response:
    """The whole of it: as it was materialized last; before that, as the slot gave it when this process began."""
    return json_answer(request, shown_schema(here))


@router.get("/leaderboard-columns", response_model=list[Column], responses=answers(304))
def leaderboard_columns(request: Request, here: Here) -> Response:
    """The leaderboard's columns."""
    return json_answer(request, shown_schema(here)["leaderboard_columns"])


@router.get("/metrics-widgets", response_model=list[Widget], responses=answers(304))
def metrics_widgets(request: Request, here: Here) -> Response:
    """The charts of the metrics page."""
    return json_answer(request, shown_schema(here)["metrics_widgets"])


def shown_schema(here: Opened) -> dict[str, Any]:
    """What was materialized last; before that, the slot's own."""
    stored = here.store.boards.report_schema() if here.begun else None
    return stored or here.schema
