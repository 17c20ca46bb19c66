"""`/reports/predictions` and `/reports/truths`: single cycles, a page at a time, and the scores as CSV."""

from fastapi import APIRouter, Request, Response

from coordinator_dagster.report.as_csv import CSV, csv_of
from coordinator_dagster.report.opened import Here
from coordinator_dagster.report.parameters import Before, Between, Limit, ProjectIds
from coordinator_dagster.report.problems import answers
from coordinator_dagster.report.rendered import json_answer
from coordinator_dagster.report.rows import Row, naive, prediction_row
from coordinator_dagster.report.shapes import PredictionRow, TruthRow
from coordinator_dagster.store import report_cycles as cycles

router = APIRouter(prefix="/reports", tags=["report"])
COLUMNS = (
    *("performed_at", "model_id", "prediction_config_id", "scope_key", "status"),
    *("score_status", "score_value", "score_failed_reason", "scored_at"),
)


@router.get("/predictions", response_model=list[PredictionRow], responses=answers(304, 422))
def predictions(
    request: Request, here: Here, between: Between, models: ProjectIds, limit: Limit = 5000, before: Before = None
) -> Response:
    """A row a forecast, by time: the newest of the range. The header `Link` leads to those before them."""
    rows = _predictions(here, between, models, limit, before)
    return json_answer(request, rows, _older(request, rows))


@router.get("/predictions.csv", response_class=Response, responses={200: CSV, **answers(304, 422)})
def predictions_csv(
    request: Request, here: Here, between: Between, models: ProjectIds, limit: Limit = 20_000, before: Before = None
) -> Response:
    """The same as a table for a spreadsheet."""
    rows = _predictions(here, between, models, limit, before)
    return csv_of(request, "predictions.csv", COLUMNS, rows, _older(request, rows))


@router.get("/truths", response_model=list[TruthRow], responses=answers(304, 422))
def truths(request: Request, here: Here, between: Between, limit: Limit = 1000, before: Before = None) -> Response:
    """A row a cycle, by time: what came true, or nothing yet. The header `Link` leads to those before them."""
    found = cycles.truths(here.database, between.start, between.end, before, limit) if here.begun else []
    rows = [_truth(one._asdict()) for one in found]
    return json_answer(request, rows, _older(request, rows))


def _predictions(here: Here, between: Between, models: ProjectIds, limit: int, before: Before) -> list[Row]:
    if not here.begun:
        return []
    found = cycles.predictions(here.database, between.start, between.end, before, models, limit)
    return [prediction_row(one._asdict()) for one in found]


def _truth(found: Row) -> Row:
    moments = {name: found[name] for name in ("performed_at", "resolvable_at", "resolved_at")}
    return {**found, **{name: naive(moment) if moment else None for name, moment in moments.items()}}


def _older(request: Request, rows: list[Row]) -> dict[str, str]:
    """The next page: what is older than the first row; none after an empty one."""
    if not rows:
        return {}
    url = request.url.include_query_params(before=f"{rows[0]['performed_at']}Z")
    return {"Link": f'<{url.path}?{url.query}>; rel="next"'}
