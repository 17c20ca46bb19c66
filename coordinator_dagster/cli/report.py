"""`coordinator report`"""

from typing import Annotated, Any

import typer
import uvicorn

from coordinator_dagster.competition import read_competition
from coordinator_dagster.errors import UserErrors
from coordinator_dagster.logs import log_to_stderr, say
from coordinator_dagster.ports import port_faults
from coordinator_dagster.report.app import create_app


def report(
    host: Annotated[str, typer.Option(help="address of the API; keys come over it, so put TLS in front")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port to listen on")] = 8000,
    access_log: Annotated[bool, typer.Option("--access-log", help="a line for each request, on stdout")] = False,
) -> None:
    """Serve the leaderboard page of the competition in this folder, its report API and its tape, until Ctrl-C."""
    if faults := port_faults(host, port):
        raise UserErrors(faults)
    competition = read_competition()
    app = create_app(competition)
    form: dict[str, Any] = {}  # uvicorn's own
    if competition.settings.log_format == "json":
        log_to_stderr(competition)
        form = {"log_config": None}
    say(competition, f"leaderboard: http://{host}:{port}  (Ctrl-C ends it)")
    uvicorn.run(app, host=host, port=port, log_level="info" if access_log else "warning", access_log=access_log, **form)
