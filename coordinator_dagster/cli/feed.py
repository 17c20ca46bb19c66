"""`coordinator feed`"""

from datetime import datetime

from coordinator_dagster.cli.console import print_rows
from coordinator_dagster.cli.validate import PATIENCE_SECONDS
from coordinator_dagster.competition import read_competition
from coordinator_dagster.runtime import open_feed
from coordinator_dagster.stages.ingest import contest_series


def feed() -> None:
    """List what the feed of FEED_PROVIDER offers, and which of it this contest uses."""
    competition = read_competition()
    opened = open_feed(competition, patience=PATIENCE_SECONDS)
    used = set(contest_series(competition, opened))

    def day(moment: datetime | None) -> str:
        return f"{moment:%Y-%m-%d %H:%M:%S}" if moment else "open"

    print_rows(
        ["series", "from", "to", "used"],
        [
            [str(one.series), day(one.first), day(one.last), "yes" if one.series in used else ""]
            for one in opened.list_assets()
        ],
    )
