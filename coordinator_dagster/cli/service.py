"""`coordinator service`: one of Dagster's services, for a process manager or containers that keep each alone."""

import logging
import os
from collections.abc import Callable, Sequence
from typing import Annotated

import typer
from sqlalchemy.exc import OperationalError
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential

from coordinator_dagster.cli.dev import Host, Port
from coordinator_dagster.cli.validate import settings_faults
from coordinator_dagster.competition import Competition, read_competition
from coordinator_dagster.errors import UserErrors
from coordinator_dagster.launcher import CodeServer, service_commands, set_dagster_environment
from coordinator_dagster.logs import log_to_stderr
from coordinator_dagster.ports import port_faults

LONGEST_PAUSE_SECONDS = 5
CODE_PORT = 4000

Code = Annotated[str, typer.Option(help="host:port of the code server")]

log = logging.getLogger("coordinator")
service = typer.Typer(
    help="Become one of Dagster's services. It waits for the database for as long as it takes.", no_args_is_help=True
)


@service.command()
def code(
    host: Annotated[str, typer.Option(help="address to listen on; whoever reaches it may start runs")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port to listen on")] = CODE_PORT,
) -> None:
    """The code server: this folder's definitions, and the parent of every run."""
    _become(lambda one: service_commands(one, CodeServer(host, port), host, port).code_server, port_faults(host, port))


@service.command()
def webserver(
    code: Code = f"127.0.0.1:{CODE_PORT}",
    host: Host = "127.0.0.1",
    port: Port = 3000,
    read_only: Annotated[bool, typer.Option("--read-only", help="nothing can be started or stopped in it")] = False,
) -> None:
    """The Dagster UI."""
    option = ["--read-only"] if read_only else []
    at, faults = _code_server(code)
    faults += port_faults(host, port)
    _become(lambda one: [*service_commands(one, at, host, port).webserver, *option], faults)


@service.command()
def daemon(code: Code = f"127.0.0.1:{CODE_PORT}") -> None:
    """The daemon: sensors, schedules, the queue of runs. One for each DAGSTER_SCHEMA."""
    at, faults = _code_server(code)
    _become(lambda one: service_commands(one, at, "", 0).daemon, faults)


def _code_server(code: str) -> tuple[CodeServer, list[str]]:
    """Where it is, and what is wrong with that."""
    host, _, port = code.rpartition(":")
    if host and port.isdecimal() and 0 < int(port) < 65536:
        return CodeServer(host, int(port)), []
    return CodeServer(), [f"--code={code}: write host:port, such as code:{CODE_PORT}"]


def _become(command: Callable[[Competition], Sequence[str]], faults: Sequence[str]) -> None:
    """UserErrors for what no waiting mends."""
    competition = read_competition()
    log_to_stderr(competition)
    found = [*faults, *settings_faults(competition)]
    if not competition.settings.database_url and "DAGSTER_POSTGRES_URL" not in os.environ:
        found.append("DATABASE_URL is not set; services share a PostgreSQL server: set it to that one's URL")
    if found:
        raise UserErrors(found)
    os.environ.setdefault("PGCONNECT_TIMEOUT", "5")  # seconds; a server that is not there may say nothing
    attempts = Retrying(
        retry=retry_if_exception_type(OperationalError),
        wait=wait_exponential(max=LONGEST_PAUSE_SECONDS),
        before_sleep=_tell,
    )
    attempts(set_dagster_environment, competition)
    become = [*command(competition)]
    os.execv(become[0], become)  # noqa: S606


def _tell(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    found = str(getattr(error, "orig", error)).strip()
    log.warning("the database does not answer, trying again in %g s: %s", state.upcoming_sleep, found)
