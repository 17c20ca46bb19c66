"""`coordinator leaderboard`"""

from typing import Annotated

import typer

from coordinator_dagster.cli.console import print_leaderboard
from coordinator_dagster.cli.moments import parse_moment
from coordinator_dagster.competition import read_competition
from coordinator_dagster.store.store import open_store


def leaderboard(
    at: Annotated[str | None, typer.Option(help="a moment in the window whose board is wanted, UTC")] = None,
) -> None:
    """Print the newest leaderboard, or the one of a window."""
    competition = read_competition()
    store = open_store(competition)
    start = competition.windows.at(parse_moment("--at", at)).start if at else None
    print_leaderboard(store.boards.latest_leaderboard(start))
    store.close()
