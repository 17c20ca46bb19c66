"""`coordinator demo`"""

import math
import os
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import dagster as dg
import typer

from coordinator_dagster.cli.console import console, print_leaderboard, progress_bar
from coordinator_dagster.cli.dev import serve as serve_ui
from coordinator_dagster.cli.moments import parse_hour
from coordinator_dagster.clock import SystemClock
from coordinator_dagster.competition import Competition, read_competition
from coordinator_dagster.errors import UserError
from coordinator_dagster.feeds.base import FeedError
from coordinator_dagster.feeds.binance import BinanceFeed
from coordinator_dagster.feeds.registry import BINANCE_URL
from coordinator_dagster.launcher import set_dagster_environment
from coordinator_dagster.run_tags import range_tags
from coordinator_dagster.runtime import open_runtime
from coordinator_dagster.store.database import Database
from coordinator_dagster.store.marked import drop_marked, make_marked
from coordinator_dagster.store.store import database_url, open_store
from coordinator_dagster.windows import Window

HEADER = "# Written by `coordinator demo`: edit it, or delete it to start afresh.\n"
MARK = "made by coordinator demo, which makes it anew each time"
LAST_HOURS = 6
RUNS = 4
WINDOWS_A_RUN = 24


def demo(
    tape: Annotated[Path | None, typer.Option(help="a folder of market data to run on")] = None,
    start: Annotated[str | None, typer.Option("--from", help="first hour, UTC")] = None,
    end: Annotated[str | None, typer.Option("--to", help="end of the last hour, UTC")] = None,
    serve: Annotated[bool, typer.Option(help="serve the Dagster UI at the end")] = True,
    port: Annotated[int, typer.Option(help="port of the UI")] = 3000,
) -> None:
    """Run a whole competition on example models to a leaderboard, in Dagster; then serve its UI.

    Without --tape it takes the last hours from Binance, or, where that cannot be reached, a simulated market.
    """
    began = time.monotonic()
    chosen = {
        "COMPETITION": "demo",
        "MODE": "replay",
        "WINDOW": "hour",
        **_span(tape, start, end),
        **_feed(tape),
    }
    os.environ.update(chosen)
    competition = read_competition()
    set_dagster_environment(competition)
    _fresh_schema(competition)
    with open_runtime(competition) as runtime:
        last = min(runtime.clock.now(), competition.closing or runtime.clock.now())
        windows = competition.windows.between(competition.start, last)
    if not windows:
        raise UserError(f"--from={start} --to={end}: the tape holds nothing there; it ends at {last.isoformat()}")
    _run_in_dagster(competition, windows)
    store = open_store(competition)
    board = store.boards.latest_leaderboard()
    print_leaderboard(board)
    for entry in board.entries_jsonb if board else []:
        if not entry["score"]["payload"]["answered"]:
            name = entry["model_id"]
            console.print(f"{name} has answered nothing: `coordinator models check {name}` says why", soft_wrap=True)
    store.close()
    _keep(competition, chosen)
    console.print(f"{len(windows)} windows in {time.monotonic() - began:.0f} s. Query it: {sys.argv[0]} postgres psql")
    if serve:
        serve_ui(competition, "127.0.0.1", port, alone=True)  # the environment's settings are this one's


def _feed(tape: Path | None) -> dict[str, str]:
    """The settings of the feed, and a word about which it is."""
    if tape:
        console.print(f"market data: the tape in {tape}")
        return {"FEED_PROVIDER": "replay", "FEED_TAPE_DIR": str(tape.resolve())}
    try:
        ask_binance(os.environ.get("FEED_BASE_URL"))
    except FeedError:
        console.print("market data: [bold]simulated[/bold] (Binance cannot be reached)")
        return {"FEED_PROVIDER": "simulated"}
    console.print("market data: the last hours from Binance")
    return {"FEED_PROVIDER": "binance"}


def ask_binance(base_url: str | None) -> None:
    """FeedError when it does not answer, there or at its own address, within three seconds."""
    feed = BinanceFeed(["BTC"], base_url or BINANCE_URL, SystemClock(), patience=3)
    feed.known_through(feed.series("BTC", "candle", "1m"))


def _span(tape: Path | None, start: str | None, end: str | None) -> dict[str, str]:
    """From when to when; the last full hours by default."""
    this_hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    if tape and not (start and end):
        raise UserError("--tape needs --from and --to, such as --from 2023-03-24T00:00Z --to 2023-03-25T00:00Z")
    last = parse_hour("--to", end) if end else this_hour
    first = parse_hour("--from", start) if start else last - timedelta(hours=LAST_HOURS)
    if first >= last:
        raise UserError(f"--from={start} is not before --to={end}")
    return {"COMPETITION_START": first.isoformat(), "COMPETITION_END": last.isoformat()}


def _fresh_schema(competition: Competition) -> None:
    """Drop what an earlier demo left; UserError when the schema is somebody else's."""
    with closing(Database(database_url(competition), competition.schema)) as database:
        drop_marked(
            database,
            MARK,
            f"the schema {competition.schema} in the database was not made by a demo; drop it yourself, "
            "or set DATABASE_URL to another database",
        )
        make_marked(database, MARK)


def _run_in_dagster(competition: Competition, windows: Sequence[Window]) -> None:
    """Materialize every asset over the windows, a few runs in all, as the UI would."""
    from coordinator_dagster.code_location import build_definitions

    definitions = build_definitions(competition)
    quiet = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
    size = min(WINDOWS_A_RUN, math.ceil(len(windows) / RUNS))
    with (
        dg.DagsterInstance.get() as instance,
        progress_bar("windows through Dagster", len(windows)) as advance,
    ):
        instance.wipe_assets([dg.AssetKey([competition.schema, name]) for name in _assets(definitions)])
        for first in range(0, len(windows), size):
            some = windows[first : first + size]
            definitions.resolve_job_def(f"{competition.schema}_loop").execute_in_process(
                instance=instance, tags=range_tags(some[0].key, some[-1].key), run_config=quiet
            )
            advance(len(some))
        definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance,
            run_config=quiet,
            asset_selection=[dg.AssetKey([competition.schema, "report_schema"])],
        )


def _assets(definitions: dg.Definitions) -> list[str]:
    return [key.path[-1] for key in definitions.resolve_asset_graph().get_all_asset_keys()]


def _keep(competition: Competition, chosen: dict[str, str]) -> None:
    """Write the settings where `coordinator dev` finds them, unless the file is the operator's own."""
    settings = competition.settings
    kept = {**chosen, "PACK": settings.pack, "MODELS_DIR": str(settings.models_dir)}
    file = competition.home / ".local.env"
    if file.exists() and not file.read_text().startswith(HEADER):
        console.print(
            f"{file} is yours and stays; the demo's settings were: "
            + " ".join(f"{name}={value}" for name, value in kept.items())
        )
        return
    file.write_text(HEADER + "".join(f"{name}={value}\n" for name, value in kept.items()))
