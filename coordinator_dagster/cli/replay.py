"""`coordinator replay`"""

import os
import time
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from coordinator_dagster import replay as engine
from coordinator_dagster.cli.console import console, print_leaderboard, progress_bar
from coordinator_dagster.cli.moments import parse_hour
from coordinator_dagster.clock import SystemClock
from coordinator_dagster.competition import Competition, read_competition
from coordinator_dagster.errors import UserError
from coordinator_dagster.feeds.stored import StoredFeed
from coordinator_dagster.local_env import remember
from coordinator_dagster.replay_workers import default_workers
from coordinator_dagster.runtime import open_feed, open_runtime
from coordinator_dagster.stages.ingest import contest_series
from coordinator_dagster.store.database import Database
from coordinator_dagster.store.restore import restore
from coordinator_dagster.store.store import database_url, open_as_it_stands
from coordinator_dagster.store.take_over import find_live, take_over
from coordinator_dagster.windows import Window


def replay(
    start: Annotated[str | None, typer.Option("--from", help="first hour, UTC; default COMPETITION_START")] = None,
    end: Annotated[str | None, typer.Option("--to", help="end of the last hour; default the feed's end")] = None,
    tape: Annotated[Path | None, typer.Option(help="a folder of market data; sets FEED_PROVIDER=replay")] = None,
    live: Annotated[
        str | None, typer.Option("--from-schema", help="a live competition: replay on its tape, with its cut-offs")
    ] = None,
    perform_missed: Annotated[
        bool, typer.Option(help="with --from-schema: perform what was MISSED there, for study")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="processes that ask models side by side; default: one a processor, in a long replay"),
    ] = None,
) -> None:
    """Run the loop over past windows of the tape, with the models in MODELS_DIR, and print the leaderboard."""
    if live:
        end = end or _take_over(live, perform_missed)
    elif tape:
        os.environ |= {"FEED_PROVIDER": "replay", "FEED_TAPE_DIR": str(tape.resolve())}
    if start and "COMPETITION_START" not in os.environ and read_competition().settings.competition_start is None:
        os.environ["COMPETITION_START"] = parse_hour("--from", start).isoformat()
    competition = read_competition()
    if competition.settings.mode != "replay":
        raise UserError(
            "MODE=live: a live competition is not replayed into its own schema; set MODE=replay and another COMPETITION"
        )
    windows = chosen_windows(competition, start, end)
    if workers is None:
        workers = default_workers(competition, len(windows))
    elif workers > 1 and competition.settings.model_runner != "local":
        raise UserError(
            f"--workers={workers}: with MODEL_RUNNER={competition.settings.model_runner} the same models go on from "
            "window to window, so they are asked in order; leave the option out"
        )
    with open_runtime(competition) as runtime:
        keep_settings(competition)
        began = time.monotonic()
        with progress_bar(f"{competition.settings.competition}: windows", len(windows)) as advance:
            report = engine.replay(runtime, windows, advance, workers)
        print_replay(report, time.monotonic() - began)
        print_leaderboard(runtime.store.boards.latest_leaderboard())


def _take_over(live: str, perform_missed: bool) -> str:
    """Make this competition's schema that of a replay of the live one; the end of its last window."""
    os.environ |= {"FEED_PROVIDER": StoredFeed.name, "MODE": "replay"}
    competition = read_competition()
    database = Database(database_url(competition), competition.schema)
    try:
        database.server_version()
        found = find_live(database, live)
    finally:
        database.close()
    if found.schema == competition.schema:
        raise UserError(f"--from-schema={live}: that is COMPETITION itself; set another COMPETITION for the replay")
    os.environ |= {"COMPETITION_START": found.start.isoformat(), "WINDOW": found.window}
    competition = read_competition()
    with closing(open_as_it_stands(competition)) as store:
        restore(store.database, found.schema, competition.settings.tape_archive_dir / found.schema)
        take_over(store.database, found.schema, perform_missed, competition.pack.input_wait)
    last = competition.windows.at(found.last_window or found.start)
    return last.end.isoformat()


def chosen_windows(competition: Competition, start: str | None, end: str | None) -> list[Window]:
    """The windows between the options; UserError when they hold none. No database is touched for it."""
    if competition.settings.competition_start is None:
        raise UserError(
            "COMPETITION_START is not set; give --from, or set it to the first hour, such as 2023-03-24T00:00Z"
        )
    first = parse_hour("--from", start) if start else competition.start
    if first < competition.start:
        raise UserError(
            f"--from={start} is before COMPETITION_START={competition.start.isoformat()}; start there, "
            "or set another COMPETITION and its COMPETITION_START"
        )
    last = parse_hour("--to", end) if end else _feed_end(competition)
    if competition.closing:
        last = min(last, competition.closing)
    windows = competition.windows.between(first, last)
    if not windows:
        raise UserError(f"no window between {first.isoformat()} and {last.isoformat()}; --to must be after --from")
    return windows


def _feed_end(competition: Competition) -> datetime:
    """The end of the feed's tape; now where it goes on."""
    feed = open_feed(competition)
    series = contest_series(competition, feed)
    return min(feed.known_through(one) for one in series) if feed.fixed and series else SystemClock().now()


def keep_settings(competition: Competition) -> None:
    """Write what was chosen into `.local.env`, so that the UI shows the same competition."""
    settings = competition.settings
    values = {
        "COMPETITION": settings.competition,
        "COMPETITION_START": competition.start.isoformat(),
        "PACK": settings.pack,
        "FEED_PROVIDER": settings.feed_provider,
    }
    if settings.competition_end:
        values["COMPETITION_END"] = settings.competition_end.isoformat()
    if settings.feed_tape_dir:
        values["FEED_TAPE_DIR"] = str(settings.feed_tape_dir)
    if added := remember(competition.home, values, "coordinator replay"):
        console.print(f"{competition.home / '.local.env'}: added {', '.join(added)}")


def print_replay(report: engine.ReplayReport, seconds: float) -> None:
    """The totals in a few lines."""
    answers = ", ".join(f"{count} {status}" for status, count in sorted(report.statuses.items())) or "none new"
    console.print(
        f"{report.windows} windows, {report.records} new records, {report.cycles} cycles performed in {seconds:.1f} s\n"
        f"forecasts: {answers}\ncycles: {report.resolved} resolved, {report.void} void, {report.pending} pending"
    )
    for reason in report.reasons:
        console.print(f"waiting: {reason}")
