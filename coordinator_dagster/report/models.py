"""`/reports/models`: who takes part, and their metrics: now, by scope and through time."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from coordinator_dagster.report.opened import Here
from coordinator_dagster.report.parameters import MOST_ROWS, Between, Limit, ProjectIds
from coordinator_dagster.report.problems import answers
from coordinator_dagster.report.rendered import json_answer, render_json, respond
from coordinator_dagster.report.rows import metrics_row, scope_row
from coordinator_dagster.report.shapes import MetricsRow, ModelRow, ScopeRow
from coordinator_dagster.store.report import boards

router = APIRouter(prefix="/reports/models", tags=["report"])
CYCLES_OF_SCOPES = 500  # the newest, among which every scope is


@router.get("", response_model=list[ModelRow], responses=answers(304))
def models(request: Request, here: Here) -> Response:
    """Every model that has taken part, by id."""
    if not here.begun:
        return json_answer(request, [])
    stamp = boards.board_stamp(here.database)
    return respond(request, here.kept.get("models", stamp, lambda: render_json(_models(here))))


def _models(here: Here) -> list[dict[str, Any]]:
    return [
        {
            "model_id": one.id,
            "model_name": one.name,
            "cruncher_name": one.player_name,
            "cruncher_id": one.player_id,
            "deployment_id": one.deployment,
        }
        for one in here.store.roster.entrants()
    ]


@router.get("/global", response_model=list[MetricsRow], responses=answers(304, 422))
@router.get("/summary", response_model=list[MetricsRow], responses=answers(304, 422), operation_id="summary")
def metrics_now(request: Request, here: Here, between: Between, models: ProjectIds) -> Response:
    """A row a model: its metrics on the newest board of the range. Who has none is left out."""
    found = boards.metrics_at(here.database, between.start, between.end, models) if here.begun else []
    rows = [metrics_row(one.model_id, one.score, one.at) for one in found if _has_score(one.score)]
    return json_answer(request, rows)


@router.get("/metrics", response_model=list[MetricsRow], responses=answers(304, 422))
async def metrics_through_time(
    request: Request, here: Here, between: Between, models: ProjectIds, limit: Limit = MOST_ROWS
) -> Response:
    """A row a model and board, by time. Where they would be more than `limit`, every n-th board of the range."""

    def make() -> Response:
        if not here.begun:
            return json_answer(request, [])
        length = here.competition.windows.length
        found = boards.metrics_between(here.database, between.start, between.end, models, length, limit)
        return json_answer(request, [metrics_row(one.model_id, one.score, one.at) for one in found])

    return await here.turns.take(make)


@router.get("/params", response_model=list[ScopeRow], responses=answers(304, 422))
def metrics_by_scope(
    request: Request,
    here: Here,
    between: Between,
    models: ProjectIds,
    scope_key: Annotated[str | None, Query(description="this scope only")] = None,
) -> Response:
    """A row a model and scope: its newest metrics there, where their board is of the range."""
    if not here.begun:
        return json_answer(request, [])
    scopes = boards.scopes(here.database, CYCLES_OF_SCOPES)
    rows = [
        scope_row(one.model_id, one.score, one.at, one.scope_key, scopes.get(one.scope_key, {}))
        for one in boards.scores_by_scope(here.database, models)
        if between.start <= one.at <= between.end and scope_key in (None, one.scope_key) and _has_score(one.score)
    ]
    return json_answer(request, rows)


def _has_score(score: dict[str, Any]) -> bool:
    return any(value is not None for value in score["metrics"].values())
