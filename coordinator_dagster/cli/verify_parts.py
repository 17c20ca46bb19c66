"""What `coordinator verify` looks at outside of its trial: each returns what was found, or raises a UserError."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import httpx

from coordinator_dagster.cli.doctor import orchestrator
from coordinator_dagster.cli.validate import PATIENCE_SECONDS
from coordinator_dagster.clock import SystemClock
from coordinator_dagster.competition import Competition
from coordinator_dagster.errors import UserError, UserErrors
from coordinator_dagster.feeds.base import Feed, FeedError, fetch_over
from coordinator_dagster.live.leasing import WORK
from coordinator_dagster.rehearsal import rehearse
from coordinator_dagster.report.app import create_app
from coordinator_dagster.runners.choice import runner_faults
from coordinator_dagster.runners.folders import discover
from coordinator_dagster.runners.placing import staged
from coordinator_dagster.runners.submission import plain
from coordinator_dagster.runtime import open_feed
from coordinator_dagster.stages.ingest import contest_series
from coordinator_dagster.store.database import Database
from coordinator_dagster.store.leases import LeaseTable
from coordinator_dagster.store.migrating import try_migration
from coordinator_dagster.store.store import database_url
from coordinator_dagster.trial import Trial
from slots.market import Series

RECENT = timedelta(minutes=5)
CANDLES = 3  # so many, where they are longer
ENOUGH = 20  # records of a series: some venues are asked for each
API_SECONDS = 10.0


class NotTried(Exception):
    """Why a step is left out; nothing is wrong."""


def database(competition: Competition) -> str:
    """Which server it is, and that the competition's schema can be brought up to date; nothing is changed."""
    opened = Database(database_url(competition), competition.schema)
    kind = "server of DATABASE_URL" if competition.settings.database_url else "embedded server"
    try:
        version = opened.server_version()
        try_migration(opened)
        there = "is there" if opened.has("alembic_version") else "is not there yet"
    finally:
        opened.close()
    return f"{kind}, PostgreSQL {version}; the schema {competition.schema} {there}, and can be migrated"


def feed(competition: Competition, offline: bool) -> str:
    """Through when each series is known, and its newest records, really fetched. NotTried when `offline`."""
    if offline:
        raise NotTried("--offline was given")
    opened, found, faults = open_feed(competition, patience=PATIENCE_SECONDS), list[str](), list[str]()
    series = contest_series(competition, opened)
    if not series:
        return "no series is needed: the truth comes from elsewhere"
    for one in series:
        try:
            found.append(_newest(opened, one))
        except FeedError as error:
            faults.append(f"{one}: {error}; mend the network, FEED_BASE_URL or FEED_PROVIDER, or leave it by --offline")
        except UserError as error:
            faults.append(f"{one}: {error}")
    if faults:
        raise UserErrors(faults)
    return "\n".join(found)


def _newest(opened: Feed, series: Series) -> str:
    """UserError where a venue that prints every candle has none; FeedError where it cannot be asked."""
    through = opened.known_through(series)
    start = through - max(RECENT, CANDLES * series.step)
    records = list(islice(fetch_over(opened, series, start, through), ENOUGH))
    if not records and series.kind == "candle" and opened.every_bar:
        raise UserError(
            f"no candle from {start.isoformat()} to {through.isoformat()}, where {opened.name} has one every "
            f"{series.granularity}; see `coordinator feed`, or set FEED_PROVIDER or FEED_BASE_URL to another source"
        )
    known = "the tape ends at" if opened.fixed else "known through"
    count = f"{len(records)}{' or more' if len(records) == ENOUGH else ''} records from {start:%H:%M:%S} on"
    return f"{series}: {known} {through:%Y-%m-%d %H:%M:%S}{_ago(opened, through)}, {count if records else 'quiet'}"


def _ago(opened: Feed, through: datetime) -> str:
    return "" if opened.fixed else f" ({(SystemClock().now() - through).total_seconds():.0f} s ago)"


def models(competition: Competition) -> str:
    """Each local model's rehearsal; with MODEL_RUNNER=grpc which models the orchestrator has."""
    if competition.settings.model_runner == "local":
        return _local_models(competition)
    if faults := runner_faults(competition.settings):
        raise UserErrors(faults)
    found = orchestrator(competition.settings)
    if found.remedy:
        raise UserError(f"{found.found}; {found.remedy}")
    return found.found


def _local_models(competition: Competition) -> str:
    """UserErrors with all that is wrong with any of them."""
    models_dir = competition.home / competition.settings.models_dir
    there, faults = discover(models_dir)
    if not there and not faults:
        raise UserError(f"there is none in {models_dir}; add one by `coordinator models add`, or set MODELS_DIR")
    said = [f"{len(there)} in {models_dir}, each asked alone"]
    with tempfile.TemporaryDirectory(prefix="coordinator-verify-") as place:
        Path(place).chmod(0o755)  # a confined process is another user
        for id_, (info, folder) in there.items():
            with staged(folder, id_, Path(place)) as copy:
                how = rehearse(competition, copy, info)
            said.append(f"{id_}: slowest answer {how.slowest:.3f} s of {how.allowed:g} s allowed")
            said += [f"{id_}: warning: {warning}" for warning in how.warnings]
            if how.faults:
                faults += [f"{plain(folder)}: {how.faults[0]}", *how.faults[1:]]
                faults.append(f"mend it, then try it by `coordinator models check {id_}`")
    if faults:
        raise UserErrors(faults)
    return "\n".join(said)


def one_cycle(competition: Competition, trial: Trial) -> str:
    """The trial's. NotTried while a live run asks the same processes: nodes over gRPC persist, and would remember."""
    if competition.settings.model_runner == "grpc" and _is_live(competition):
        raise NotTried(
            "a live run is asking these nodes, which would take in simulated prices between the real ones; verify "
            "before the competition begins"
        )
    return trial.cycle()


def _is_live(competition: Competition) -> bool:
    opened = Database(database_url(competition), competition.schema)
    try:
        lease = LeaseTable(opened).read(WORK) if opened.has("leases") else None
        return lease is not None and lease.alive
    finally:
        opened.close()


def api(competition: Competition, url: str | None) -> str:
    """What `/readyz` and `/reports/leaderboard` say, of the API at `url` or of one in this process."""
    where = url or "in this process"
    remedy = "start `coordinator report` there, or mend --url" if url else "mend DATABASE_URL"
    try:
        health, board = asyncio.run(_ask(competition, url))
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise UserError(f"{where}: {type(error).__name__}: {error}; {remedy}") from None
    if not isinstance(health, dict) or health.get("status") != "ok" or not isinstance(board, list):
        raise UserError(f"{where}: no report API answers there (/readyz: {health!r:.200}); {remedy}")
    mine = competition.settings.competition
    if health.get("competition") != mine:
        raise UserError(f"{where}: it is about the competition {health.get('competition')!r:.80}, not {mine}; {remedy}")
    return f"{where}: healthy, {health.get('database')}; the leaderboard has {len(board)} models"


async def _ask(competition: Competition, url: str | None) -> tuple[Any, Any]:
    """The two answers; HTTPError where there is none, or one that refuses, ValueError for one that is not JSON."""
    async with _client(competition, url) as client:
        answers = [await client.get(path) for path in ("readyz", "reports/leaderboard")]
        return answers[0].raise_for_status().json(), answers[1].raise_for_status().json()


@asynccontextmanager
async def _client(competition: Competition, url: str | None) -> AsyncIterator[httpx.AsyncClient]:
    if url:
        async with httpx.AsyncClient(base_url=url, timeout=API_SECONDS) as client:
            yield client
        return
    app = create_app(competition)
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://here") as one:
        yield one
