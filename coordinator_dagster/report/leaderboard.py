"""`/reports/leaderboard`: the newest board, as the web app's table reads it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter

from coordinator_dagster.report.opened import Here

router = APIRouter(prefix="/reports")
LAST = 999_999  # where who has no rank stands


@router.get("/leaderboard")
def leaderboard(here: Here) -> list[dict[str, Any]]:
    """A row for each model in order of rank, the unranked last; [] before there is a board."""
    board = here.store.boards.latest_leaderboard() if here.store.database.has("leaderboards") else None
    if board is None:
        return []
    rows = [_row(entry, board.created_at) for entry in board.entries_jsonb]
    return sorted(rows, key=lambda row: LAST if row["rank"] is None else row["rank"])


def _row(entry: Mapping[str, Any], created_at: datetime) -> dict[str, Any]:
    """The web app looks at the top level only, so each metric is there as `score_<metric>`, too."""
    score = entry["score"]
    return {
        **{f"score_{name}": value for name, value in score["metrics"].items()},
        "model_id": entry["model_id"],
        "model_name": entry.get("model_name"),
        "cruncher_name": entry.get("cruncher_name"),
        "rank": entry["rank"],
        "created_at": naive(created_at),
        "score_metrics": score["metrics"],
        "score_ranking": {name: value for name, value in score["ranking"].items() if value is not None},
        "score_payload": score.get("payload", {}),
    }


def naive(moment: datetime) -> str:
    """ISO in UTC without saying so: the web app adds the `Z` itself."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat()
