"""The PostgreSQL that comes along: it starts by itself, survives kills, and is the same database."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy import create_engine, text

from coordinator_dagster.competition import Competition
from coordinator_dagster.replay import replay
from coordinator_dagster.runtime import open_runtime
from tests.tables import settled_tables

pytestmark = pytest.mark.smoke
PROJECT = Path(__file__).parents[1]
CLI = "from coordinator_dagster.cli import main; main()"
START = """
import os, signal
from pathlib import Path
from coordinator_dagster.store.embedded import start_embedded
print(start_embedded(Path(os.environ["COORDINATOR_HOME"])), flush=True)
"""


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """An empty folder whose server, if it gets one, is stopped at the end."""
    folder = Path(tempfile.mkdtemp(prefix="coordinator-"))
    yield folder
    pid = _pid_in(folder)
    run(folder, "-c", CLI, "postgres", "stop", check=False)
    if pid and _runs(pid):
        os.kill(pid, signal.SIGKILL)
    left = [one.pid for one in psutil.process_iter() if str(folder) in _command(one)]
    shutil.rmtree(folder)
    assert not left, f"the server of {folder} still runs: {left}"


def run(home: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """A fresh Python process in that home."""
    environment = {**os.environ, "COORDINATOR_HOME": str(home), "PYTHONPATH": str(PROJECT)}
    result = subprocess.run(
        [sys.executable, *arguments], cwd=home, env=environment, capture_output=True, text=True, timeout=60
    )
    assert not check or result.returncode == 0, result.stdout + result.stderr
    return result


def coordinator(home: Path, *arguments: str) -> str:
    """What a `coordinator` command prints."""
    return run(home, "-c", CLI, *arguments).stdout.strip()


def start(home: Path) -> str:
    """The URL of the home's server, from a process of its own: within one, the handle is kept."""
    return run(home, "-c", START).stdout.strip()


def execute(url: str, *statements: str) -> list[tuple[object, ...]]:
    """The rows of the last statement."""
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg2:"))
    with engine.begin() as connection:
        for statement in statements:
            result = connection.execute(text(statement))
        rows = [tuple(row) for row in result] if result.returns_rows else []
    engine.dispose()
    return rows


def test_a_killed_starter_leaves_the_server_and_its_rows(home: Path) -> None:
    killed = run(home, "-c", START + "os.kill(os.getpid(), signal.SIGKILL)", check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    url, server = killed.stdout.strip(), _pid_in(home)
    assert server and _runs(server)
    execute(url, "create table survives (n int)", "insert into survives values (1), (2)")
    again = start(home)
    assert (again, _pid_in(home)) == (url, server), "the second process did not find the first one's server"
    assert execute(again, "select n from survives order by n") == [(1,), (2,)]


def test_a_killed_server_starts_again_with_its_rows(home: Path) -> None:
    url = start(home)
    execute(url, "create table committed (n int)", "insert into committed values (7)")
    server = _pid_in(home)
    assert server
    os.kill(server, signal.SIGKILL)
    _until(lambda: not _runs(server))
    again = start(home)
    assert _pid_in(home) != server
    assert execute(again, "select n from committed") == [(7,)]


def test_the_commands_of_a_newcomer(home: Path) -> None:
    url = coordinator(home, "postgres", "url")
    assert url.startswith("postgresql://postgres@/"), url
    assert execute(url, "select 1") == [(1,)]
    assert coordinator(home, "postgres", "psql", "-At", "-c", "select 1") == "1"
    server = _pid_in(home)
    assert server and _runs(server)
    assert coordinator(home, "postgres", "stop") == "stopped"
    assert not _runs(server)
    assert coordinator(home, "postgres", "stop") == "no embedded server runs here"


def test_a_replay_on_it_equals_one_on_a_server(competition: Callable[..., Competition], home: Path) -> None:
    settings = {"competition_end": "2026-01-05T01:00Z"}
    tables = []
    for made in (competition("a", **settings), competition("b", **settings, database_url=start(home))):
        with open_runtime(made) as runtime:
            replay(runtime, made.windows.between(made.start, made.settings.competition_end), lambda done: None)
            tables.append(settled_tables(runtime.store))
    assert tables[0]["scores"], "nothing was scored: the test would show nothing"
    assert tables[0] == tables[1]


def _pid_in(home: Path) -> int | None:
    file = home / ".coordinator" / "postgres" / "postmaster.pid"
    return int(file.read_text().split()[0]) if file.exists() else None


def _runs(pid: int) -> bool:
    """Whether it is alive; a zombie that nobody reaps (a container without an init) is not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _until(done: Callable[[], bool], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, f"still waiting after {seconds} s"
        time.sleep(0.1)
