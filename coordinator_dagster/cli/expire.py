"""`coordinator expire`"""

from typing import Annotated

import typer

from coordinator_dagster.cli.console import console, print_rows, progress_bar
from coordinator_dagster.competition import read_competition
from coordinator_dagster.runtime import Runtime, open_runtime
from coordinator_dagster.stages.archive import archive_folder
from coordinator_dagster.stages.expire import Verdict, days_to_look_at, plan


def expire(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="say what would become of each month, and do nothing")
    ] = False,
) -> None:
    """Archive the tape's days as Parquet, and let the months go that are older than MARKET_RECORD_TTL_DAYS."""
    competition = read_competition()
    with open_runtime(competition) as runtime:
        parts = competition, runtime.store, runtime.feed, runtime.clock
        verdicts = plan(*parts)
        _print_plan(runtime, verdicts)
        if dry_run:
            return
        with progress_bar(f"{competition.settings.competition}: days", days_to_look_at(*parts)) as advance:
            report = runtime.expire(advance)
    archived = report.archived
    console.print(
        f"{archive_folder(competition)}: files written: {archived.written} ({archived.rows} records, "
        f"{archived.bytes / 1e6:.1f} MB), verified: {archived.kept}",
        soft_wrap=True,
    )
    for month, rows in report.gone.items():
        console.print(f"{month} has left the tape, with {rows} records")
    for month, why in report.held.items():
        console.print(f"{month} is held: {why}", soft_wrap=True)


def _print_plan(runtime: Runtime, verdicts: list[Verdict]) -> None:
    """A line a month of the tape."""
    rows = []
    for one in verdicts:
        found, noted = runtime.store.expiry.records(one.month), runtime.store.archive.noted(one.days[0], one.days[-1])
        days = len({file.day for file in noted})
        ends = [f"{at:%Y-%m-%d %H:%M}" if at else "" for at in (found.first, found.last)]
        rows.append([one.month.name, str(found.rows), *ends, f"{days} of {len(one.days)}", f"{one.fate}: {one.why}"])
    if rows:
        print_rows(["month", "records", "first", "last", "days archived", "verdict"], rows)
    else:
        console.print("the tape has no records yet: nothing can go")
