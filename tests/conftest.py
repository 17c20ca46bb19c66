"""What the tests share: a PostgreSQL, real market data where there is some, and small competitions."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from coordinator_dagster.competition import Competition, read_competition
from coordinator_dagster.settings import Settings
from coordinator_dagster.store.database import with_driver
from coordinator_dagster.store.embedded import start_embedded, stop_embedded
from slots.contracts import SLOT_NAMES

PROJECT = Path(__file__).parents[1]
# Tests in real time, which `make test` runs one by one; the others share the machine.
REALTIME = (
    *("tests/faults/", "tests/feeds/test_binance_stream.py", "tests/feeds/test_pyth_stream.py", "tests/live/"),
    "tests/runners_grpc/",
    "tests/backups/test_live.py",
    *("tests/cli/test_live.py", "tests/retention/test_tape_in_use.py", "tests/test_tape_held.py"),
)
# What takes longest begins first, else all wait for it at the end.
LONGEST = (
    *("tests/template/test_generated.py", "tests/test_ui.py", "tests/crash/", "tests/test_two_nodes.py"),
    *("tests/cli/test_demo.py", "tests/test_loop.py", "tests/oracle/", "tests/report/test_browser.py"),
)
SERVER = os.environ.get("COORDINATOR_TEST_DATABASE_URL", "postgresql://root@127.0.0.1:5432/test")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.nodeid.startswith(REALTIME):
            item.add_marker(pytest.mark.realtime)
    places = {item: next((n for n, path in enumerate(LONGEST) if item.nodeid.startswith(path)), 99) for item in items}
    items.sort(key=places.__getitem__)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No setting of the machine or of the folder reaches a test, nor one that a command set in an earlier test."""
    before = dict(os.environ)
    for name in [*Settings.model_fields, *SLOT_NAMES, "DAGSTER_HOME", "DAGSTER_POSTGRES_URL"]:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("COORDINATOR_HOME", str(tmp_path))
    monkeypatch.setenv("MODEL_PRELOAD", "math")  # half a second less for each test whose models need no numpy
    monkeypatch.setenv("MODEL_LAYERS_WAIVED", "all")  # live models run where bubblewrap is not installed, too
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def database_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL server where one runs, else the embedded one."""
    try:
        with create_engine(with_driver(SERVER)).connect():
            yield SERVER
        return
    except Exception as error:
        print(f"no server at {SERVER} ({type(error).__name__}): the embedded PostgreSQL serves the tests")
    home = tmp_path_factory.mktemp("server")
    yield start_embedded(home)
    stop_embedded(home)


@pytest.fixture
def schema(database_url: str, request: pytest.FixtureRequest) -> Iterator[Callable[[str], str]]:
    """Names competitions whose schemas are dropped before and after the test."""
    names: list[str] = []

    def name(suffix: str = "a") -> str:
        names.append(f"test_{os.getpid()}_{suffix}")
        drop(database_url, names[-1])
        return names[-1].replace("_", "-")

    yield name
    for one in names:
        drop(database_url, one)


def drop(url: str, schema: str) -> None:
    engine = create_engine(with_driver(url))
    with engine.begin() as connection:
        connection.execute(text(f"drop schema if exists {schema} cascade"))
    engine.dispose()


@pytest.fixture(scope="session")
def tape_dir() -> Path:
    """The folder of real market data."""
    folder = os.environ.get("COORDINATOR_TEST_TAPE")
    if not folder or not Path(folder).is_dir():
        pytest.skip("COORDINATOR_TEST_TAPE does not name a folder of market data")
    return Path(folder).resolve()


@pytest.fixture
def competition(
    database_url: str, schema: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Competition]:
    """Makes a competition from settings; by default two simulated hours with the example models."""

    def make(suffix: str = "a", **settings: Any) -> Competition:
        chosen = {
            "competition": schema(suffix),
            "database_url": database_url,
            "competition_start": "2026-01-05T00:00Z",
            "competition_end": "2026-01-05T02:00Z",
            "models_dir": str(PROJECT / "examples" / "models"),
            **settings,
        }
        for name, value in chosen.items():
            monkeypatch.setenv(name.upper(), str(value))
        return read_competition(tmp_path)

    return make


@pytest.fixture
def model_folder(tmp_path: Path) -> Callable[[str, str], Path]:
    """Writes a model's main.py into the test's own models folder; returns that folder."""
    folder = tmp_path / "models"

    def write(name: str, body: str) -> Path:
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "main.py").write_text(body)
        return folder

    return write
