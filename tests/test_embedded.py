"""The PostgreSQL that comes along: it starts by itself, survives kills, and is the same database."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from sqlalchemy import create_engine, text

from coordinator_dagster.competition import Competition
from coordinator_dagster.replay import replay
from coordinator_dagster.runtime import open_runtime
from coordinator_dagster.store.embedded import start_embedded, stop_embedded
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
    """A folder for the module; tests leave its server as it is."""
    with _home() as folder:
        yield folder


@pytest.fixture
def empty_home() -> Iterator[Path]:
    with _home() as folder:
        yield folder


@contextmanager
def _home() -> Iterator[Path]:
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
    """The URL of the home's server, from a process of its own."""
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


def test_a_server_that_someone_else_is_starting_is_waited_for(home: Path) -> None:
    url, server, pid_file = start(home), _pid_in(home), _pid_file(home)
    ready = pid_file.read_text()
    starting = ready.replace("ready", "starting")
    assert starting != ready
    pid_file.write_text(starting)
    whole = pid_file.with_suffix(".whole")  # PostgreSQL never shows half of it either
    whole.write_text(ready)
    threading.Timer(1.5, whole.replace, [pid_file]).start()
    assert (start(home), _pid_in(home)) == (url, server)


def test_a_program_with_the_pid_of_a_killed_server_is_not_the_server(home: Path, tmp_path: Path) -> None:
    """A pid file outlives a crash of the machine; then the pid may be anyone's, even another home's server's."""
    start(home)
    server, pid_file = _pid_in(home), _pid_file(home)
    assert server
    os.kill(server, signal.SIGKILL)
    _until(lambda: not _runs(server))
    with _stranger(tmp_path / "postgres") as stranger:
        stale = pid_file.read_text().replace(str(server), str(stranger), 1)
        pid_file.write_text(stale)
        assert execute(start(home), "select 1") == [(1,)]
        assert stop_embedded(home)
        pid_file.write_text(stale)
        assert not stop_embedded(home)
        assert _runs(stranger), "the program that got the server's pid was stopped"


def test_within_one_process_it_stops_and_starts_and_sees_what_others_do(home: Path) -> None:
    assert execute(start_embedded(home), "select 1") == [(1,)]
    assert stop_embedded(home)
    assert execute(start_embedded(home), "select 2") == [(2,)]
    assert coordinator(home, "postgres", "stop") == "stopped"
    assert execute(start_embedded(home), "select 3") == [(3,)]
    again = START + "from coordinator_dagster.store.embedded import stop_embedded\n"
    again += "home = Path(os.environ['COORDINATOR_HOME'])\nassert stop_embedded(home)\nstart_embedded(home)\n"
    assert run(home, "-c", again).stderr == "", "the library's clean-up at exit failed"
    assert coordinator(home, "postgres", "stop") == "stopped"


def test_several_start_it_at_once(empty_home: Path) -> None:
    environment = {**os.environ, "COORDINATOR_HOME": str(empty_home), "PYTHONPATH": str(PROJECT)}
    starters = []
    for _ in range(6):
        starters.append(subprocess.Popen([sys.executable, "-c", START], env=environment, stdout=subprocess.PIPE))
        time.sleep(0.3)  # one of them looks while the first makes the database
    urls = {starter.communicate(timeout=60)[0] for starter in starters}
    assert [starter.returncode for starter in starters] == [0] * len(starters)
    assert len(urls) == 1


@pytest.mark.parametrize("command", [["stop"], ["psql", "--version"]])
def test_no_warning_where_there_is_no_runtime_folder(
    empty_home: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    if command == ["stop"]:
        start(empty_home)
    else:
        monkeypatch.setenv("DATABASE_URL", "postgresql://somebody@127.0.0.1:1/nowhere")
    assert run(empty_home, "-c", CLI, "postgres", *command).stderr == ""


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


@contextmanager
def _stranger(program: Path) -> Iterator[int]:
    """The pid of a process of that name that does nothing."""
    program.symlink_to(shutil.which("sleep") or "")
    process = subprocess.Popen(["sleep", "60"], executable=program)
    assert psutil.Process(process.pid).name() == program.name
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def _pid_file(home: Path) -> Path:
    return home / ".coordinator" / "postgres" / "postmaster.pid"


def _pid_in(home: Path) -> int | None:
    file = _pid_file(home)
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
