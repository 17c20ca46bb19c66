"""Starts Dagster the way this project wants it: its home, its database, its settings in the environment."""

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from dagster_postgres import DagsterPostgresStorage

from coordinator_dagster.competition import Competition
from coordinator_dagster.dagster_storage import dagster_url

# Dagster writes events one by one otherwise; by the hundreds they cost half as much.
EVENT_BATCH_SIZE = "500"


def set_dagster_environment(competition: Competition) -> Path:
    """Set DAGSTER_HOME and DAGSTER_POSTGRES_URL for this process and its children; returns the home."""
    home = competition.home / ".coordinator" / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_project_file(competition, "dagster.yaml"), home / "dagster.yaml")
    os.environ["COORDINATOR_HOME"] = str(competition.home)
    os.environ["DAGSTER_HOME"] = str(home)
    os.environ["DAGSTER_POSTGRES_URL"] = dagster_url()
    # Made here once: the processes of `dagster dev` start together and would race to make the tables.
    DagsterPostgresStorage(os.environ["DAGSTER_POSTGRES_URL"], should_autocreate_tables=True)
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", EVENT_BATCH_SIZE)
    return home


def dagster_dev_command(competition: Competition, host: str, port: int) -> list[str]:
    """The command line of the UI and the daemon for one machine."""
    workspace = _project_file(competition, "workspace.yaml")
    return [_program("dagster"), "dev", "-w", str(workspace), "-h", host, "-p", str(port)]


@dataclass(frozen=True)
class ServiceCommands:
    """The command lines of what `dagster dev` starts, each a process that may be started again alone."""

    socket: Path  # where the code server listens
    code_server: Sequence[str]
    webserver: Sequence[str]
    daemon: Sequence[str]


def service_commands(dagster_home: Path, socket: Path, host: str, port: int) -> ServiceCommands:
    """The code server is `dagster api grpc`, one process.

    The child that `dagster code-server start` (and so `dagster dev`) hands its calls to is not started again when
    it has been killed.
    """
    workspace = dagster_home / "live-workspace.yaml"
    server = {"socket": str(socket), "location_name": "coordinator"}
    workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}))
    module = "coordinator_dagster.definitions"
    return ServiceCommands(
        socket,
        [_program("dagster"), "api", "grpc", "-s", str(socket), "-m", module],
        [_program("dagster-webserver"), "-w", str(workspace), "-h", host, "-p", str(port)],
        [_program("dagster-daemon"), "run", "-w", str(workspace)],
    )


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _project_file(competition: Competition, name: str) -> Path:
    """The operator's own file, or the one that came along."""
    own = competition.home / name
    return own if own.is_file() else Path(__file__).parents[1] / name
