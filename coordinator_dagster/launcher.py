"""Starts Dagster the way this project wants it: its home, its database, its settings in the environment."""

import os
import shutil
import sys
from pathlib import Path

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
    program = str(Path(sys.executable).with_name("dagster"))
    return [program, "dev", "-w", str(workspace), "-h", host, "-p", str(port)]


def _project_file(competition: Competition, name: str) -> Path:
    """The operator's own file, or the one that came along."""
    own = competition.home / name
    return own if own.is_file() else Path(__file__).parents[1] / name
