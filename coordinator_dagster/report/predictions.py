"""`/reports/predictions` and `/reports/truths`: single cycles, a page at a time, and the scores as CSV."""

from dataclasses import replace

from fastapi import APIRouter, Request, Response

from coordinator_dagster.report.as_csv import CSV, csv_of
from coordinator_dagster.report.opened import Here
from coordinator_dagster.report.parameters import MOST_ROWS, Before, Between, Limit, ProjectIds
from coordinator_dagster.report.problems import answers
from coordinator_dagster.report.rendered import json_answer
from coordinator_dagster.report.rows import Row, naive, prediction_row
from coordinator_dagster.report.shapes import PredictionRow, TruthRow
from coordinator_dagster.store.report import cycles
from coordinator_dagster.store.report.newest_cycles import Asked, Page

EMPTY = Page([], None)
router = APIRouter(prefix="/reports", tags=["report"])
COLUMNS = (
    *("performed_at", "model_id", "prediction_config_id", "scope_key", "status"),
    *("score_status", "score_value", "score_failed_reason", "scored_at"),
)


@router.get("/predictions", response_model=list[PredictionRow], responses=answers(304, 422))
async def predictions(
    request: Request, here: Here, between: Between, models: ProjectIds, limit: Limit = 5000, before: Before = None
) -> Response:
    """A row a forecast, by time: the newest of the range. The header `Link` leads to those before them."""

    def make() -> Response:
        page = _predictions(here, between, models, limit, before)
        return json_answer(request, page.rows, _older(request, page))

    return await here.turns.take(make)


@router.get("/predictions.csv", response_class=Response, responses={200: CSV, **answers(304, 422)})
async def predictions_csv(
    request: Request, here: Here, between: Between, models: ProjectIds, limit: Limit = MOST_ROWS, before: Before = None
) -> Response:
    """The same as a table for a spreadsheet."""

    def make() -> Response:
        page = _predictions(here, between, models, limit, before)
        return csv_of(request, "predictions.csv", COLUMNS, page.rows, _older(request, page))

    return await here.turns.take(make)


@router.get("/truths", response_model=list[TruthRow], responses=answers(304, 422))
async def truths(
    request: Request, here: Here, between: Between, limit: Limit = 1000, before: Before = None
) -> Response:
    """A row a cycle, by time: what came true, or nothing yet. The header `Link` leads to those before them."""

    def make() -> Response:
        asked = Asked(between.start, between.end, before)
        page = cycles.truths(here.database, asked, limit) if here.begun else EMPTY
        return json_answer(request, [_truth(row) for row in page.rows], _older(request, page))

    return await here.turns.take(make)


def _predictions(here: Here, between: Between, models: ProjectIds, limit: int, before: Before) -> Page:
    if not here.begun:
        return EMPTY
    page = cycles.predictions(here.database, Asked(between.start, between.end, before), models, limit)
    return replace(page, rows=[prediction_row(row) for row in page.rows])


def _truth(found: Row) -> Row:
    moments = {name: found[name] for name in ("performed_at", "resolvable_at", "resolved_at")}
    return {**found, **{name: naive(moment) if moment else None for name, moment in moments.items()}}


def _older(request: Request, page: Page) -> dict[str, str]:
    """The next page: what is older than this one, which may be empty."""
    if page.older is None:
        return {}
    url = request.url.include_query_params(before=page.older.isoformat())
    return {"Link": f'<?{url.query}>; rel="next"'}  # relative: a proxy may have put a prefix before the path
