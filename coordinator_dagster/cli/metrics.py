"""`coordinator metrics`"""

import signal
import threading
from contextlib import closing
from typing import Annotated

import typer
from prometheus_client import CollectorRegistry, start_http_server

from coordinator_dagster.competition import read_competition
from coordinator_dagster.errors import UserErrors
from coordinator_dagster.health.look import Look
from coordinator_dagster.health.metrics import StandingCollector
from coordinator_dagster.logs import log_to_stderr, say
from coordinator_dagster.ports import port_faults


def metrics(
    host: Annotated[str, typer.Option(help="address to listen on; there is no login")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port to listen on")] = 9108,
) -> None:
    """Serve how the competition in this folder stands to Prometheus, at /metrics, until Ctrl-C.

    It only reads: nothing is started, made or migrated. A database that is away is `coordinator_up 0`.
    """
    if faults := port_faults(host, port):
        raise UserErrors(faults)
    competition, ended = read_competition(), threading.Event()
    log_to_stderr(competition)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with closing(Look(competition)) as look:
        registry = CollectorRegistry()
        registry.register(StandingCollector(competition, look))
        server, thread = start_http_server(port, host, registry)
        say(competition, f"metrics: http://{host}:{port}/metrics  (Ctrl-C ends it)")
        ended.wait()
        server.shutdown()
        thread.join()
