"""`/reports/leaderboard`: the newest board, as the web app's table reads it, and as CSV."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from coordinator_dagster.report.as_csv import CSV, csv_of
from coordinator_dagster.report.opened import Here, Opened
from coordinator_dagster.report.parameters import MOST_ROWS
from coordinator_dagster.report.problems import answers
from coordinator_dagster.report.rendered import json_answer, render_json, respond
from coordinator_dagster.report.rows import Row, board_row
from coordinator_dagster.report.shapes import LeaderboardRow
from coordinator_dagster.store.report.boards import board_stamp

router = APIRouter(prefix="/reports", tags=["report"])
LAST = 999_999  # where who has no rank stands


@router.get("/leaderboard", response_model=list[LeaderboardRow], responses=answers(304, 422))
def leaderboard(
    request: Request,
    here: Here,
    limit: Annotated[int | None, Query(ge=1, le=MOST_ROWS, description="rows at most; default: all")] = None,
    offset: Annotated[int, Query(ge=0, le=10**9, description="rows left out before them")] = 0,
) -> Response:
    """A row a model in order of rank, the unranked last; [] before there is a board."""
    if limit is None and not offset:
        stamp = board_stamp(here.database) if here.begun else None
        return respond(request, here.kept.get("leaderboard", stamp, lambda: render_json(board_rows(here))))
    return json_answer(request, board_rows(here)[offset:][:limit])


@router.get("/leaderboard.csv", response_class=Response, responses={200: CSV, **answers(304)})
def leaderboard_csv(request: Request, here: Here) -> Response:
    """The same as a table for a spreadsheet: a column a metric."""
    rows = board_rows(here)
    metrics = dict.fromkeys(name for row in rows for name in row["score_metrics"])
    before, after = ("rank", "model_id", "model_name", "cruncher_name"), ("answered", "due", "coverage")
    return csv_of(request, "leaderboard.csv", (*before, *metrics, *after, "status", "unranked_reason"), rows)


def board_rows(here: Opened) -> list[Row]:
    """The newest board's rows, kept until something in them changes."""
    return here.kept.get("board rows", board_stamp(here.database), lambda: _rows(here)) if here.begun else []


def _rows(here: Opened) -> list[Row]:
    board = here.store.boards.latest_leaderboard()
    if board is None:
        return []
    states = {one.id: one.state for one in here.store.roster.entrants()}
    rows = [board_row(entry, board.created_at, states.get(entry["model_id"])) for entry in board.entries_jsonb]
    return sorted(rows, key=lambda row: LAST if row["rank"] is None else row["rank"])
