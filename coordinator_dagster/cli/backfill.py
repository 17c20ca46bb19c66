"""`coordinator backfill`"""

from typing import Annotated

import typer

from coordinator_dagster.cli.console import console, progress_bar
from coordinator_dagster.cli.replay import chosen_windows
from coordinator_dagster.competition import read_competition
from coordinator_dagster.errors import UserError
from coordinator_dagster.feeds.base import FeedError
from coordinator_dagster.runtime import open_runtime
from coordinator_dagster.stages.ingest import IngestReport


def backfill(
    start: Annotated[str | None, typer.Option("--from", help="first hour, UTC; default COMPETITION_START")] = None,
    end: Annotated[str | None, typer.Option("--to", help="end of the last hour; default the feed's end")] = None,
    refetch: Annotated[bool, typer.Option(help="fetch what is on the tape again, too")] = False,
) -> None:
    """Fetch the market data of past windows onto the tape. Cut short, it goes on where it was when run again."""
    competition = read_competition()
    windows = chosen_windows(competition, start, end)
    total, done = IngestReport(), 0
    with open_runtime(competition) as runtime:
        try:
            with progress_bar(f"{competition.settings.competition}: windows", len(windows)) as advance:
                for window in windows:
                    total.add(runtime.ingest([window], refetch))
                    done += 1
                    advance(1)
        except FeedError as error:
            raise UserError(
                f"after {done} of {len(windows)} windows: {error}; what was fetched is kept: run it again to go on"
            ) from None
    console.print(
        f"{len(windows)} windows: {total.offered} records, {total.new} new, {total.restated} restated, "
        f"{total.gaps} gaps stand (`coordinator tape` lists them)"
    )
