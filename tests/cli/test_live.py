"""`coordinator live`: it keeps itself alive, ends as a whole, and says beforehand what is missing."""

import importlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol
from unittest import mock

import psutil
import pytest
from dotenv import dotenv_values
from sqlalchemy import create_engine, text
from typer.testing import CliRunner

from coordinator_dagster.cli import app
from coordinator_dagster.cli.demo import HEADER
from coordinator_dagster.clock import FixedClock
from coordinator_dagster.errors import UserError, UserErrors
from coordinator_dagster.feeds.base import FeedError
from coordinator_dagster.settings import Settings
from coordinator_dagster.store.database import with_driver
from coordinator_dagster.store.embedded import start_embedded, stop_embedded
from slots.contracts import SLOT_NAMES
from slots.market import utc
from tests.cli.serving import LOAD, answers, free_port, of_home, until
from tests.conftest import PROJECT

# The package has the function under the module's name.
command = importlib.import_module("coordinator_dagster.cli.live")
COMMAND = [sys.executable, "-c", "from coordinator_dagster.cli import main; main()", "live", "--port"]
MODELS = str(PROJECT / "examples" / "models")
SERVICES = {"code server": "api grpc", "webserver": "dagster-webserver", "daemon": "dagster-daemon"}
WORKER = "--multiprocessing-fork"


class Live:
    """A `coordinator live` in a folder of its own, with the embedded PostgreSQL."""

    def __init__(self, home: Path) -> None:
        self.home, self.port, self.log = home, free_port(), home / "log"
        self.start()

    def start(self) -> None:
        ours = {name.upper() for name in [*Settings.model_fields, *SLOT_NAMES, "DAGSTER_HOME", "DAGSTER_POSTGRES_URL"]}
        environment = {name: value for name, value in os.environ.items() if name.upper() not in ours}
        environment |= {"COORDINATOR_HOME": str(self.home), "PYTHONPATH": str(PROJECT), "TMPDIR": str(self.home)}
        environment |= {"FEED_PROVIDER": "simulated", "MODELS_DIR": MODELS}
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [*COMMAND, self.port], env=environment, cwd=self.home, stdout=log, stderr=log, start_new_session=True
            )
        until(self.serves, 60)

    def serves(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return answers(self.port, LOAD)

    def those(self, part: str) -> list[psutil.Process]:
        """Its processes with that in their command line."""
        return [one for one in of_home(self.home) if part in " ".join(_command(one))]

    def stored(self, query: str) -> list[Any]:
        """The values that Dagster keeps."""
        engine = create_engine(with_driver(start_embedded(self.home)))
        with engine.connect() as connection:
            found = list(connection.execute(text(query)).scalars())
        engine.dispose()
        return found

    def runs(self) -> list[str]:
        """The states of all runs."""
        return self.stored("select status from dagster.runs")

    def go_on(self, workers: list[psutil.Process]) -> bool:
        """Whether none of these died: at the hour's turn the run of the window that closes ends, and well."""
        ended = [one for one in workers if not one.is_running()]
        return bool(workers) and len(ended) <= self.runs().count("SUCCESS")

    def ticks(self) -> int:
        """How often the daemon has evaluated a sensor, and it worked."""
        return int(self.stored("select count(*) from dagster.job_ticks where status in ('SKIPPED', 'SUCCESS')")[0])


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Ctrl-C ends it with its runs, and nothing is left but the database."""
    home = tmp_path_factory.mktemp("live")
    made: list[Live] = []
    try:
        made.append(Live(home))
        until(lambda: made[0].runs().count("STARTED") >= 2, 60)
        yield made[0]
        made[0].process.send_signal(signal.SIGINT)
        print(f"ended in {until(lambda: made[0].process.poll() is not None, 16):.1f} s")
        left = of_home(home)
        assert not left, f"processes were left behind: {left}"
        ended = made[0].runs()
        assert "CANCELED" in ended and not {"STARTING", "STARTED", "CANCELING"} & set(ended), ended
    finally:
        for one in of_home(home):
            one.kill()
        stop_embedded(home)
        print((home / "log").read_text()[-20000:])


class Start(Protocol):
    """Types `coordinator live` with these settings: what it says is wrong, None if it would run."""

    def __call__(self, **settings: object) -> UserError | None: ...


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, database_url: str) -> Iterator[Start]:
    """In this process, up to the point where the services start."""
    monkeypatch.setattr(command, "set_dagster_environment", lambda competition: None)
    monkeypatch.setattr(command, "supervise", lambda *arguments: None)

    def start(**settings: object) -> UserError | None:
        chosen = {"DATABASE_URL": database_url, "MODELS_DIR": MODELS, "FEED_PROVIDER": "simulated"} | settings
        with mock.patch.dict(os.environ, {name: str(value) for name, value in chosen.items() if value is not None}):
            done = CliRunner().invoke(app, ["live", "--port", free_port()])
        assert done.exception is None or isinstance(done.exception, UserError), done.exception
        return done.exception

    yield start


@pytest.mark.ui
@pytest.mark.parametrize("name", SERVICES)
def test_a_killed_service_comes_back_and_the_runs_go_on(live: Live, name: str) -> None:
    workers = live.those(WORKER)
    (service,) = live.those(SERVICES[name])
    service.kill()
    again = until(lambda: [one for one in live.those(SERVICES[name]) if one.pid != service.pid], 5)
    ticks = live.ticks()
    serves = until(live.serves, 25)
    looks = until(lambda: live.ticks() > ticks, 25)
    print(
        f"{name}: again after {again:.1f} s, serving {serves:.1f} s later, a sensor evaluated {looks:.1f} s after that"
    )
    assert live.go_on(workers), f"a run died with it: {live.runs()}"


@pytest.mark.ui
def test_killed_postgres_comes_back(live: Live) -> None:
    def server() -> int:
        file = live.home / ".coordinator" / "postgres" / "postmaster.pid"
        return int(file.read_text().split()[0]) if file.exists() and file.read_text() else 0

    killed = server()
    os.kill(killed, signal.SIGKILL)
    print(f"PostgreSQL: again after {until(lambda: server() not in (0, killed), 20):.1f} s")
    until(live.serves, 30)


@pytest.mark.ui
def test_there_is_one_in_a_folder(live: Live, started: Start) -> None:
    assert str(started(COORDINATOR_HOME=live.home)).startswith(
        f"`coordinator live` runs in {live.home} already; end it"
    )


@pytest.mark.ui
@pytest.mark.parametrize(
    "line, why",
    [("SCORING_FUNCTION=slots.defaults:no_such", "no_such"), ("PACK=tournament", "coordinator order configs")],
)
def test_what_is_refused_is_not_begun_with(live: Live, line: str, why: str) -> None:
    services = {name: live.those(part) for name, part in SERVICES.items()}
    file = live.home / ".local.env"
    whole = file.read_text()
    file.write_text(f"{whole}{line}\n")
    try:
        live.process.send_signal(signal.SIGUSR2)
        until(lambda: why in live.log.read_text().rpartition("nothing has changed")[2], 30)
    finally:
        file.write_text(whole)
    assert {name: live.those(part) for name, part in SERVICES.items()} == services


@pytest.mark.ui
def test_told_to_begin_anew_it_does_and_the_runs_go_on(live: Live) -> None:
    workers, before = live.those(WORKER), {name: live.those(part) for name, part in SERVICES.items()}
    live.process.send_signal(signal.SIGUSR2)
    until(lambda: not any(one.is_running() for all_of_it in before.values() for one in all_of_it), 10)
    live.process.send_signal(signal.SIGUSR2)  # while it begins: it does so once more
    until(lambda: live.log.read_text().count("beginning anew") == 2, 60)
    until(live.serves, 60)
    assert live.go_on(workers), f"a run died with it: {live.runs()}"


@pytest.mark.ui
def test_killed_itself_it_takes_its_services_along_but_not_the_runs(live: Live) -> None:
    workers, chosen = live.those(WORKER), dotenv_values(live.home / ".local.env")
    live.process.kill()
    live.process.wait()
    until(lambda: not [part for part in SERVICES.values() if live.those(part)], 5)
    assert live.go_on(workers), f"a run died with it: {live.runs()}"
    live.start()
    assert dotenv_values(live.home / ".local.env") == chosen, "it goes on with the same competition"
    assert live.go_on(workers), f"the runs went on: {live.runs()}"


def test_a_slot_that_hangs_is_refused(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(command, "ACCEPT_SECONDS", 0.05)
    assert not command._accepted(dict(os.environ))
    assert "a slot that hangs?" in caplog.text


def test_every_fault_is_said_at_once_and_leaves_no_trace(
    started: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "ask_binance", mock.Mock(side_effect=FeedError("GET https://…: no answer")))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        monkeypatch.setattr(sys.modules[__name__], "free_port", lambda: port)
        url = "postgresql://somebody:hunter2secret@127.0.0.1:1/nowhere"
        fault = started(DATABASE_URL=url, FEED_PROVIDER=None, MODELS_DIR=tmp_path, FEED_KIND="tick")
    assert isinstance(fault, UserErrors)
    taken_port, kind, models, database, feed = fault.faults
    assert taken_port == f"--port={port}: something listens on 127.0.0.1:{port} already; stop it or choose another port"
    assert kind.startswith("settings: a fault; FEED_KIND=tick: the pack baseline needs BTC/candle/1m")
    assert models == f"models: 0 in {tmp_path}; add a folder with a main.py, or set MODELS_DIR"
    assert database.startswith("database: does not work; DATABASE_URL: cannot connect to postgresql")
    assert feed.startswith("FEED_PROVIDER=binance: GET https://…: no answer; mend the network, or set FEED_BASE_URL")
    assert "hunter2secret" not in str(fault)
    assert [path.name for path in tmp_path.rglob("*")] == [".coordinator", "live.lock"]


def test_a_restart_goes_on_where_it_began(
    started: Start, schema: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = schema()
    monkeypatch.setattr(command, "open_clock", lambda url: FixedClock(utc("2026-01-05T07:42:10Z")))
    assert started(COMPETITION=name, PACK="realtime") is None
    noted = dotenv_values(tmp_path / ".local.env")
    assert noted.pop("MODELS_DIR") == MODELS
    assert noted == {
        "COMPETITION": name,
        "MODE": "live",
        "COMPETITION_START": "2026-01-05T07:00:00+00:00",
        "PACK": "realtime",
        "FEED_PROVIDER": "simulated",
    }
    before = (tmp_path / ".local.env").read_text()
    monkeypatch.setattr(command, "open_clock", lambda url: FixedClock(utc("2026-01-06T00:00:00Z")))
    assert started(FEED_PROVIDER=None) is None
    assert (tmp_path / ".local.env").read_text() == before
    # The venue is away: no reason not to start again, for the live run waits for it.
    monkeypatch.setattr(command, "ask_binance", mock.Mock(side_effect=FeedError("away")))
    assert started(FEED_PROVIDER="binance") is None
    assert "which cannot change" in str(started(COMPETITION_START="2026-01-05T08:00Z"))


def test_one_bad_folder_of_a_model_keeps_it_from_beginning_and_not_from_going_on(
    started: Start, schema: Callable[[], str], model_folder: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, folder = schema(), model_folder("good", "")
    monkeypatch.setattr(command, "open_clock", lambda url: FixedClock(utc("2026-01-05T07:42:10Z")))
    (folder / "bad").mkdir()
    assert "models: 1 in " in str(fault := started(COMPETITION=name, MODELS_DIR=folder)) and "bad: it has no" in str(
        fault
    )
    (folder / "bad").rmdir()
    assert started(COMPETITION=name, MODELS_DIR=folder) is None
    (folder / "bad").mkdir()
    assert started(MODELS_DIR=folder) is None
    (folder / "good").rename(folder / ".gone")
    assert "bad: it has no main.py" in str(started(MODELS_DIR=folder)), "nobody is left"


def test_after_a_demo_it_is_the_folder_s_competition(started: Start, schema: Callable[[], str], tmp_path: Path) -> None:
    demo = f"{HEADER}COMPETITION=demo\nMODE=replay\nCOMPETITION_END=2026-01-05T02:00Z\nPACK=tournament\n"
    (tmp_path / ".local.env").write_text(demo)
    name = schema()
    assert started(COMPETITION=name) is None
    noted = dotenv_values(tmp_path / ".local.env")
    assert [noted["COMPETITION"], noted["MODE"], noted["PACK"]] == [name, "live", "tournament"]
    assert "COMPETITION_END" not in noted
    assert (tmp_path / ".local.env.demo").read_text() == demo


def test_a_folder_of_a_replay_is_left_alone(started: Start, tmp_path: Path) -> None:
    """`coordinator replay` notes no MODE."""
    replayed = "COMPETITION=mine\nCOMPETITION_START=2026-01-05T00:00Z\n"
    (tmp_path / ".local.env").write_text(replayed)
    assert str(started()).startswith(f"MODE=replay: {tmp_path} replays the competition mine")
    assert (tmp_path / ".local.env").read_text() == replayed
