"""`coordinator dev`"""

import os
import signal
from typing import Annotated

import typer

from coordinator_dagster.competition import Competition, read_competition
from coordinator_dagster.errors import UserErrors
from coordinator_dagster.launcher import dagster_dev_command, set_dagster_environment
from coordinator_dagster.logs import log_to_stderr, say
from coordinator_dagster.ports import port_faults

Host = Annotated[str, typer.Option(help="address of the UI; it has no login")]
Port = Annotated[int, typer.Option(help="port of the UI")]


def dev(host: Host = "127.0.0.1", port: Port = 3000) -> None:
    """Serve the Dagster UI and its daemon for the competition in this folder; Ctrl-C ends both."""
    serve(read_competition(), host, port)


def serve(competition: Competition, host: str, port: int, alone: bool = False) -> None:
    """Become `dagster dev`; `alone`, for this competition only. UserError when the port is taken."""
    # A script's background jobs begin with SIGINT ignored and hand that down; Dagster ends its services on it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if faults := port_faults(host, port):
        raise UserErrors(faults)
    log_to_stderr(competition)
    command = dagster_dev_command(competition, host, port, alone)
    set_dagster_environment(competition)
    say(competition, f"Dagster UI: http://{host}:{port}  (Ctrl-C ends it)")
    os.execv(command[0], command)  # noqa: S606
