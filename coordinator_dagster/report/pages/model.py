"""`/model/…`: one model's standing, its scores through time, its newest forecasts."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from fastapi import Request, Response

from coordinator_dagster.report.opened import Here, Opened
from coordinator_dagster.report.pages.board import make_table
from coordinator_dagster.report.pages.charts import latency, metrics_over_time, per_scope
from coordinator_dagster.report.pages.columns import columns, written
from coordinator_dagster.report.pages.site import answer, html, nav, page_router
from coordinator_dagster.report.pages.standing import Board, standing
from coordinator_dagster.report.parameters import ModelId
from coordinator_dagster.report.problems import Refused
from coordinator_dagster.report.reasons import public_reason
from coordinator_dagster.report.schema import shown_schema
from coordinator_dagster.store.report.board_history import BoardHistory
from coordinator_dagster.store.report.boards import metrics_between
from coordinator_dagster.store.report.model_history import ModelHistory

router = page_router()
NEWEST_CYCLES = 600  # looked at for forecasts, latency and statuses
LISTED = 60  # of their forecasts
POINTS = 240  # of a metric's past, at most
OUT = ("disqualified", "LEFT")
UNKNOWN = "No model of this competition has that id. The leaderboard links to those that are on it."


@router.get("/model/{model_id:path}")
def model_page(request: Request, here: Here, model_id: ModelId) -> Response:
    """A model's page; 404 for an unknown one."""
    found = standing(here)
    model = here.store.roster.entrant(model_id) if found.begun else None
    if model is None:
        raise Refused(404, UNKNOWN)
    newest = ModelHistory(here.database).newest(model_id, NEWEST_CYCLES, model.since if model.state in OUT else None)
    schema, line = shown_schema(here), None
    own, ranked = BoardHistory(here.database).entry(found.board.start, model_id) if found.board else ([], 0)
    if found.board and own:
        line = make_table(own, schema, found.board.start, None).lines[0]
    shown = columns(schema, own)
    past = _past(here, found.board, model) if found.board else []
    rendered = html(
        "model.html",
        name=here.competition.settings.competition,
        nav=nav("", found.has_feeds),
        standing=found,
        model=model,
        line=line,
        columns=shown,
        ranked=ranked,
        metrics=metrics_over_time(past, shown),
        scopes=per_scope(newest),
        latency=latency(newest),
        statuses=Counter(row.status for row in newest).most_common(),
        newest=[_listed(row) for row in newest[:LISTED]],
        cycles=len(newest),
    )
    return answer(request, rendered)


def _past(here: Opened, board: Board, model: Any) -> Sequence[Any]:
    """Its metrics on boards that are evenly spread from its first to the newest."""
    since, length = model.joined_at or board.start, here.competition.windows.length
    return metrics_between(here.database, since, board.end, [model.id], length, POINTS)


def _listed(row: Any) -> dict[str, Any]:
    """A forecast for the table, without what only its owner may read."""
    return {
        "performed_at": row.performed_at,
        "config_id": row.config_id,
        "scope_key": row.scope_key,
        "status": row.status,
        "score": written(row.score_value, "decimal-3"),
        "score_status": row.score_status or ("no score: VOID" if row.truth_status == "VOID" else "pending"),
        "why": public_reason(row.score_status, row.score_failed_reason),
        "ms": written(row.exec_time_ms, "decimal-2"),
    }
