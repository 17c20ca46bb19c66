"""`coordinator doctor`"""

import importlib.metadata
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import typer
from dotenv import dotenv_values
from pydantic import SecretStr
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from coordinator_dagster.cli.console import print_rows
from coordinator_dagster.cli.validate import PATIENCE_SECONDS, settings_faults
from coordinator_dagster.clock import SystemClock
from coordinator_dagster.competition import Competition, default_home, read_competition
from coordinator_dagster.conflict_markers import find_leftovers
from coordinator_dagster.dry_run import dry_run
from coordinator_dagster.errors import UserError
from coordinator_dagster.feeds.base import FeedError
from coordinator_dagster.feeds.binance import BinanceFeed
from coordinator_dagster.ports import port_is_free
from coordinator_dagster.runners.choice import open_local_runner, required_layers
from coordinator_dagster.runners.folders import discover
from coordinator_dagster.runners.layers import LAYERS
from coordinator_dagster.runtime import open_feed
from coordinator_dagster.settings import Settings, source_of
from coordinator_dagster.stages.ingest import contest_series
from coordinator_dagster.store.store import database_url
from slots.contracts import SLOT_NAMES

NEEDED_GB = 1
ORCHESTRATOR_SECONDS = 5.0
PACKAGES = (
    "dagster",
    "dagster-postgres",
    "dagster-webserver",
    "sqlalchemy",
    "psycopg2-binary",
    "pandas",
    "python-binance",
    "copier",
)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `remedy` is empty where it is well."""

    what: str
    found: str
    remedy: str = ""


def doctor(
    port: Annotated[int, typer.Option(help="the port the UI would have")] = 3000,
    offline: Annotated[bool, typer.Option(help="do not ask the feed")] = False,
) -> None:
    """Look at this machine and this configuration: what is wrong, and what to do about it."""
    findings = [*machine(port), *unmerged(default_home())]
    try:
        competition = read_competition()
    except UserError as error:
        findings.append(Finding("configuration", "cannot be read", str(error)))
    else:
        print_settings(competition)
        findings += [*configuration(competition), *surroundings(competition, offline)]
    sick = [finding for finding in findings if finding.remedy]
    print_rows(
        ["", "what", "found", "what to do"],
        [["✗" if one.remedy else "✓", one.what, one.found, one.remedy] for one in findings],
    )
    if sick:
        raise UserError(f"{len(sick)} of {len(findings)} need attention")


def print_settings(competition: Competition) -> None:
    """Every setting, with its source; secrets are not shown."""
    rows = []
    for name, field in Settings.model_fields.items():
        value = getattr(competition.settings, name)
        shown = "(set, not shown)" if isinstance(value, SecretStr) else "" if value is None else str(value)
        rows.append([name.upper(), shown, source_of(name, competition.home), field.description or ""])
    rows += [[path.slot, path.path, path.source, ""] for path in competition.slot_paths.values()]
    print_rows(["setting", "value", "from", "meaning"], rows)


def machine(port: int) -> Iterator[Finding]:
    """Python, packages, disk, port."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("Python", version, "" if sys.version_info >= (3, 11) else "install Python 3.11 or later")
    for name in PACKAGES:
        try:
            yield Finding(name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Finding(name, "not installed", "run `make setup`")
    free = shutil.disk_usage(default_home()).free / 1e9
    yield Finding("disk", f"{free:.0f} GB free", "" if free > NEEDED_GB else f"free at least {NEEDED_GB} GB")
    taken = not port_is_free("127.0.0.1", port)
    yield Finding(
        f"port {port}",
        "taken" if taken else "free",
        "stop what listens there, or use another --port" if taken else "",
    )


def unmerged(home: Path) -> Iterator[Finding]:
    """What an update of the folder left to be merged by hand."""
    leftovers = find_leftovers(home)
    for one in leftovers:
        place = str(one.file.relative_to(home)) + (f", line {one.line}" if one.line else "")
        yield Finding("leftover of a merge", place, one.remedy)
    if not leftovers:
        yield Finding("leftovers of a merge", "none")


def configuration(competition: Competition) -> Iterator[Finding]:
    """Settings, names in .local.env, slots, models."""
    for fault in settings_faults(competition):
        yield Finding("settings", "a fault", fault)
    known = {name.upper() for name in Settings.model_fields} | set(SLOT_NAMES)
    for name in dotenv_values(competition.home / ".local.env"):
        near = get_close_matches(name.upper(), known, 1, 0.8)
        if name.upper() not in known and near:
            yield Finding(".local.env", f"{name} is no setting", f"write {near[0]}")
    faults = dry_run(competition).faults
    yield Finding("slots", f"{len(faults)} faults" if faults else "all ten ran on a sample", "\n".join(faults))
    if competition.settings.model_runner == "local":
        models, faults = discover(competition.home / competition.settings.models_dir)
        remedy = "\n".join(faults) or ("" if models else "add a folder with a main.py, or set MODELS_DIR")
        yield Finding("models", f"{len(models)} in {competition.settings.models_dir}", remedy)
        if models and not faults:
            yield from confinement(competition)


def confinement(competition: Competition) -> Iterator[Finding]:
    """Each layer around the models: there, or why not. Live, what is missing and not waived is a fault."""
    required = required_layers(competition.settings)
    with open_local_runner(competition, required=()) as runner:
        missing = runner.confinement()
    for layer, remedy in LAYERS.items():
        found = f"missing: {missing[layer]}" if layer in missing else "there"
        waive = f"{remedy}, or name it in MODEL_LAYERS_WAIVED where you trust every model"
        yield Finding(f"confinement by {layer}", found, waive if layer in missing and layer in required else "")


def surroundings(competition: Competition, offline: bool) -> Iterator[Finding]:
    """Database, feed and model orchestrator."""
    yield database(competition)
    if not offline and competition.settings.model_runner == "grpc":
        yield orchestrator(competition.settings)
    if not offline:
        yield _try(f"feed {competition.settings.feed_provider}", lambda: _feed_state(competition))


def orchestrator(settings: Settings) -> Finding:
    """Which models it says are running; no node is connected to."""
    url = f"ws://{settings.model_runner_node_host}:{settings.model_runner_node_port}/{settings.crunch_id}"
    try:
        with connect(url, open_timeout=ORCHESTRATOR_SECONDS) as socket:
            first = json.loads(socket.recv(timeout=ORCHESTRATOR_SECONDS))
        names = [str(one["infos"]["model_name"]) for one in first["data"]]
    except (OSError, WebSocketException, ValueError, LookupError, TypeError) as error:
        remedy = f"{type(error).__name__}: {error}; start it, or mend MODEL_RUNNER_NODE_HOST and MODEL_RUNNER_NODE_PORT"
        return Finding("orchestrator", f"does not answer at {url}", remedy)
    return Finding(
        "orchestrator", f"{len(names)} models at {url}", "" if names else "deploy a model, or mend CRUNCH_ID"
    )


def database(competition: Competition) -> Finding:
    """Which one it is, or why it does not work."""
    return _try("database", lambda: _server_version(competition))


def _server_version(competition: Competition) -> str:
    from coordinator_dagster.store.database import Database

    database = Database(database_url(competition), competition.schema)
    kind = "server" if competition.settings.database_url else "embedded"
    try:
        return f"{kind}, PostgreSQL {database.server_version()}"
    finally:
        database.close()


def _feed_state(competition: Competition) -> str:
    feed = open_feed(competition, patience=PATIENCE_SECONDS)
    through = [
        f"{one} through {feed.known_through(one):%Y-%m-%d %H:%M:%S}" for one in contest_series(competition, feed)
    ]
    late = f"; it is {SystemClock().now():%Y-%m-%d %H:%M:%S}"
    asked = f"; asked by {feed.transport}" if isinstance(feed, BinanceFeed) else ""
    return (", ".join(through) or "no series is needed") + late + asked


def _try(what: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(what, look())
    except (UserError, FeedError) as error:
        return Finding(what, "does not work", str(error))
