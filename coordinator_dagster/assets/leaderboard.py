"""Who leads."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from coordinator_dagster.assets.window_asset import window_asset
from coordinator_dagster.competition import Competition
from coordinator_dagster.leaderboard_table import leaderboard_rows
from coordinator_dagster.runtime import Runtime
from coordinator_dagster.windows import Window


def leaderboard(competition: Competition) -> dg.AssetsDefinition:
    return window_asset(
        competition,
        "leaderboard",
        Runtime.rank,
        group="rank",
        kinds={"postgres", "python"},
        description="The ranking at the end of the window. Interim until every cycle of the look-back has ended, "
        "then final. Models that answered too little are listed below, unranked, with the reason.",
        deps={"model_scores": None},
        extra=board_table,
    )


def board_table(runtime: Runtime, window: Window) -> Mapping[str, Any]:
    """The window's board as Markdown."""
    board = runtime.store.boards.latest_leaderboard(window.start)
    header, *rows = leaderboard_rows(board.entries_jsonb) if board else [["no board in the version shown"]]
    lines = [header, ["---"] * len(header), *rows]
    return {"board": dg.MetadataValue.md("\n".join("| " + " | ".join(line) + " |" for line in lines))}
