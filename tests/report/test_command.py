"""`coordinator report` as it is typed."""

import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx

from tests.cli.serving import free_port, until
from tests.cli.test_cli import COMMAND, PASSWORD, Run, error_lines, run  # noqa: F401
from tests.report.conftest import Make


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def test_it_serves_until_it_is_interrupted(competition: Make, tmp_path: Path) -> None:
    competition()
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (tmp_path / "said").open("w") as said:
        server = subprocess.Popen([*COMMAND, "report", "--port", port], env=os.environ, stdout=said, stderr=said)
    try:
        until(lambda: answers(url), 20)
        assert httpx.get(f"{url}/reports/leaderboard").json() == []
    finally:
        server.send_signal(signal.SIGINT)
        code = server.wait(10)
    told = (tmp_path / "said").read_text()
    assert code in (0, -signal.SIGINT), told
    assert told.startswith(f"leaderboard: {url} ")
    assert "Traceback" not in told


def test_a_port_that_is_taken_and_a_url_that_is_none_are_one_error_each(
    run: Run,  # noqa: F811
    schema: Callable[[str], str],
    database_url: str,
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (line,) = error_lines(run("report", "--port", str(port), competition=schema("a"), database_url=database_url))
    assert line.startswith(f"--port={port}: something listens on 127.0.0.1:{port} already; stop it or choose another")
    (line,) = error_lines(run("report", "--port", free_port(), database_url=f"mysql://me:{PASSWORD}@x/y"))
    assert line == "DATABASE_URL: mysql:// is not PostgreSQL; use postgresql://…"
