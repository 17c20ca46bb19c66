"""Starts Dagster the way this project wants it: its home, its database, its settings in the environment."""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from dagster_postgres import DagsterPostgresStorage

from coordinator_dagster.competition import Competition
from coordinator_dagster.dagster_storage import dagster_url
from coordinator_dagster.errors import UserError
from coordinator_dagster.logs import log_format_option

# Dagster writes events one by one otherwise; by the hundreds they cost half as much.
EVENT_BATCH_SIZE = "500"
MODULE = "coordinator_dagster.definitions"
PROJECT = Path(__file__).parents[1]


def set_dagster_environment(competition: Competition) -> None:
    """Set DAGSTER_HOME and DAGSTER_POSTGRES_URL for this process and its children."""
    home = _dagster_home(competition)
    home.mkdir(parents=True, exist_ok=True)
    own = competition.home / "dagster.yaml"
    shutil.copyfile(own if own.is_file() else PROJECT / "dagster.yaml", home / "dagster.yaml")
    os.environ["COORDINATOR_HOME"] = str(competition.home)
    os.environ["DAGSTER_HOME"] = str(home)
    os.environ["DAGSTER_POSTGRES_URL"] = dagster_url()
    # Made here once: the processes of `dagster dev` start together and would race to make the tables.
    DagsterPostgresStorage(os.environ["DAGSTER_POSTGRES_URL"], should_autocreate_tables=True)
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", EVENT_BATCH_SIZE)


def dagster_dev_command(competition: Competition, host: str, port: int, alone: bool = False) -> list[str]:
    """The command line of the UI and the daemon for one machine.

    The folder's own workspace.yaml may show other competitions beside this one; `alone`, it is not looked at.
    UserError where they would all be the same one.
    """
    workspace = competition.home / "workspace.yaml"
    if alone or not workspace.is_file():
        workspace = _write_workspace(competition, "workspace.yaml", _code_location(competition))
    elif len(yaml.safe_load(workspace.read_text())["load_from"]) > 1 and os.environ.get("COMPETITION"):
        raise UserError(
            f"COMPETITION={os.environ['COMPETITION']} in the environment would name every competition in {workspace}; "
            "unset it, and name each in its own .local.env"
        )
    form = log_format_option(competition.settings)
    return [_program("dagster"), "dev", "-w", str(workspace), "-h", host, "-p", str(port), *form]


@dataclass(frozen=True)
class ServiceCommands:
    """The command lines of what `dagster dev` starts, each a process that may be started again alone."""

    socket: Path  # where the code server listens
    code_server: Sequence[str]
    webserver: Sequence[str]
    daemon: Sequence[str]


def service_commands(competition: Competition, socket: Path, host: str, port: int) -> ServiceCommands:
    """The code server is `dagster api grpc`, one process.

    The child that `dagster code-server start` (and so `dagster dev`) hands its calls to is not started again when
    it has been killed.
    """
    (loaded,) = _code_location(competition).values()
    file = loaded.get("relative_path")
    target = ["-f", file, "-d", loaded["working_directory"]] if file else ["-m", loaded["module_name"]]
    server = {"grpc_server": {"socket": str(socket), "location_name": loaded["location_name"]}}
    workspace, form = (
        _write_workspace(competition, "live-workspace.yaml", server),
        log_format_option(competition.settings),
    )
    return ServiceCommands(
        socket,
        [_program("dagster"), "api", "grpc", "-s", str(socket), *target, *form],
        [_program("dagster-webserver"), "-w", str(workspace), "-h", host, "-p", str(port), *form],
        [_program("dagster-daemon"), "run", "-w", str(workspace), *form],
    )


def _code_location(competition: Competition) -> dict[str, dict[str, str]]:
    """What a workspace.yaml says of it: the folder's own definitions.py, or else the module.

    A node's is named as its own workspace.yaml names it, so that runs that wait and sensors that were turned off are
    the same ones, whichever command serves them.
    """
    own = competition.home / "definitions.py"
    if not own.is_file():
        return {"python_module": {"module_name": MODULE, "location_name": "coordinator"}}
    names = {"location_name": competition.settings.competition, "working_directory": str(competition.home)}
    return {"python_file": {"relative_path": str(own), **names}}


def _write_workspace(competition: Competition, name: str, location: Mapping[str, Mapping[str, str]]) -> Path:
    """A workspace of one code location, in the Dagster home."""
    file = _dagster_home(competition) / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump({"load_from": [location]}))
    return file


def _dagster_home(competition: Competition) -> Path:
    return competition.home / ".coordinator" / "dagster"


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))
