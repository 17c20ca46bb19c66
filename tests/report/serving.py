"""An application behind a real port."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn

from coordinator_dagster.competition import Competition
from coordinator_dagster.report.app import create_app
from tests.cli.serving import free_port


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """Its address, until the end."""
    port = int(free_port())
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "it did not start"
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def asked(made: Competition) -> Iterator[httpx.Client]:
    """A client of the competition's report API."""
    with serving(create_app(made)) as url, httpx.Client(base_url=url, timeout=15) as client:
        yield client
