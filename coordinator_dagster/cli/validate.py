"""`coordinator validate`"""

from typing import Annotated

import typer

from coordinator_dagster.cli.console import console
from coordinator_dagster.competition import Competition, read_competition
from coordinator_dagster.dry_run import dry_run
from coordinator_dagster.errors import UserError, UserErrors
from coordinator_dagster.feeds.base import FeedError
from coordinator_dagster.runners.choice import runner_faults
from coordinator_dagster.runners.folders import discover
from coordinator_dagster.runtime import open_feed
from coordinator_dagster.settings import source_of
from coordinator_dagster.stages.ingest import contest_series
from coordinator_dagster.store.store import refusals
from slots.market import granularity_seconds

PATIENCE_SECONDS = 5.0  # with a venue that may not be reachable from here


def validate(
    offline: Annotated[bool, typer.Option(help="do not ask the feed for its assets")] = False,
    stored: Annotated[
        bool, typer.Option(help="also look whether it can go on with what is stored, and has models")
    ] = False,
) -> None:
    """Check settings and pack, load all ten slots and run a sample cycle through them; print every fault."""
    competition = read_competition()
    tried = dry_run(competition)
    faults, found = [*settings_faults(competition), *tried.faults], warnings(competition)
    if stored:
        faults += [*refusals(competition), *_model_faults(competition)]
    if not offline and not faults:
        try:
            open_feed(competition, patience=PATIENCE_SECONDS).list_assets()
        except UserError as error:
            faults.append(str(error))
        except FeedError as error:
            found.append(f"whether the feed has these assets could not be asked: {error}")
    for warning in found:
        typer.secho(f"warning: {warning}", err=True, fg="yellow")
    if faults:
        raise UserErrors(faults)
    for path in competition.slot_paths.values():
        console.print(f"ok  {path}", soft_wrap=True)
    for score in tried.scores:
        console.print(f"example  {score}", soft_wrap=True, markup=False)
    console.print(f"pack {competition.pack.id}: {len(competition.pack.configs)} configs, all ten slots ran")


def _model_faults(competition: Competition) -> list[str]:
    """A bad folder beside good models keeps nobody from being asked."""
    if competition.settings.model_runner != "local":
        return []
    folder = competition.home / competition.settings.models_dir
    models, faults = discover(folder)
    return [] if models else faults or [f"MODELS_DIR={folder}: it has no model; add a folder with a main.py"]


def settings_faults(competition: Competition) -> list[str]:
    """What is wrong between settings, feed and pack; nothing is connected to."""
    settings, faults = competition.settings, []
    where = source_of("competition_start", competition.home)
    if settings.competition_start is None:
        faults.append(
            "COMPETITION_START is not set; set it to the first hour, such as 2023-03-24T00:00Z, in .local.env"
        )
    elif settings.competition_end and settings.competition_end <= settings.competition_start:
        faults.append(
            f"{where}: COMPETITION_END={settings.competition_end.isoformat()} is not after "
            f"COMPETITION_START={settings.competition_start.isoformat()}; mend one of them"
        )
    for one in competition.pack.series:
        name = f"{one.asset}/{one.kind}/{one.granularity}"
        for setting, allowed, found in (
            ("FEED_ASSETS", settings.feed_assets or [one.asset], one.asset),
            ("FEED_KIND", [settings.feed_kind or one.kind], one.kind),
            ("FEED_GRANULARITY", [settings.feed_granularity or one.granularity], one.granularity),
        ):
            if found not in allowed and not (setting == "FEED_GRANULARITY" and one.kind == "tick"):
                faults.append(
                    f"{setting}={','.join(allowed)}: the pack {competition.pack.id} needs {name}; "
                    f"add {found}, or unset {setting}"
                )
    steps = [granularity_seconds(one.granularity) for one in competition.pack.series if one.kind == "candle"]
    needed = competition.settings.feed_candles_window * max(steps, default=0) / 60
    if needed > settings.feed_backfill_minutes:
        faults.append(
            f"FEED_BACKFILL_MINUTES={settings.feed_backfill_minutes}: the first input looks back "
            f"{needed:g} minutes (FEED_CANDLES_WINDOW); set at least that"
        )
    faults += runner_faults(settings)
    try:
        contest_series(competition, open_feed(competition))
    except UserError as error:
        faults.append(str(error))
    return faults


def warnings(competition: Competition) -> list[str]:
    """What works, but perhaps not as meant."""
    found, pack, provider = [], competition.pack, competition.settings.feed_provider
    if not pack.series and provider != "none":
        found.append(f"FEED_PROVIDER={provider} is not used: the pack {pack.id} has no series; set FEED_PROVIDER=none")
    external = [config.id for config in pack.configs if not pack.series_of(config)]
    if external and pack.example_truth is None:
        found.append(
            f"config {', '.join(external)}: the truth comes from elsewhere; give the pack an example_truth, or "
            "SCORING_FUNCTION is tried only if the resolver knows one already"
        )
    if idle := _idle_suspension(competition):
        found.append(idle)
    for config in pack.configs:
        for one in competition.pack.series_of(config):
            step = granularity_seconds(one.granularity)
            if one.kind == "candle" and step > config.schedule.every_seconds:
                found.append(
                    f"config {config.id}: asked every {config.schedule.every_seconds} s on candles of "
                    f"{step} s: neighbouring inputs are the same"
                )
    return found


def _idle_suspension(competition: Competition) -> str | None:
    """Where models may come to be suspended, and for so short a time that no instant falls in it."""
    settings = competition.settings
    limits = (settings.model_runner_max_consecutive_failures, settings.model_runner_max_consecutive_timeouts)
    fewest = min((one for one in limits if one), default=None)
    cadence = min(config.schedule.every_seconds for config in competition.pack.configs)
    instants = competition.windows.length.total_seconds() / cadence
    if fewest is None or instants <= fewest or settings.model_suspension_seconds > cadence:
        return None
    return (
        f"MODEL_SUSPENSION_SECONDS={settings.model_suspension_seconds:g}: instants are {cadence} s apart, so a "
        "suspended model misses none; set more, or MODEL_RUNNER_MAX_CONSECUTIVE_FAILURES=0 and "
        "MODEL_RUNNER_MAX_CONSECUTIVE_TIMEOUTS=0"
    )
