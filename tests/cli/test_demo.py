"""`coordinator demo`: to a leaderboard without a step before it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dotenv import dotenv_values
from sqlalchemy import create_engine, text

from coordinator_dagster.store.database import with_driver
from coordinator_dagster.store.embedded import stop_embedded

PROJECT = Path(__file__).parents[2]
NOWHERE = "http://127.0.0.1:1"
DAY = ("--from", "2023-03-24T10:00Z", "--to", "2023-03-24T15:00Z")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A folder with its own embedded server, where every demo leaves its database."""
    yield tmp_path
    stop_embedded(tmp_path)


def demo(home: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("FEED_", "DATABASE"))}
    models = str(PROJECT / "examples" / "models")
    return subprocess.run(
        [sys.executable, "-c", "from coordinator_dagster.cli import main; main()", "demo", "--no-serve", *arguments],
        env=environment | {"COORDINATOR_HOME": str(home), "MODELS_DIR": models, **settings},
        cwd=home,
        capture_output=True,
        text=True,
    )


@pytest.mark.smoke
def test_without_network_it_says_simulated_and_ends_with_a_board(home: Path) -> None:
    done = demo(home, FEED_BASE_URL=NOWHERE)
    assert done.returncode == 0, done.stderr
    assert "simulated" in done.stdout
    assert "Leaderboard" in done.stdout
    assert "360/360" in done.stdout
    kept = dotenv_values(home / ".local.env")
    assert kept["MODELS_DIR"] == str(PROJECT / "examples" / "models"), "the UI would show other models"
    again = demo(home, FEED_BASE_URL=NOWHERE)
    assert again.returncode == 0, again.stderr


@pytest.mark.smoke
def test_on_a_real_tape_through_the_outage(home: Path, tape_dir: Path) -> None:
    done = demo(home, "--tape", str(tape_dir), *DAY)
    assert done.returncode == 0, done.stderr
    assert "219/219" in done.stdout, "of 300 cycles 81 are VOID"


@pytest.mark.venue
def test_from_binance_where_it_can_be_reached(home: Path, tape_dir: Path) -> None:
    exchange = pytest.importorskip("stand_in_exchange", reason="the stand-in exchange is not on PYTHONPATH")
    with exchange.running(str(tape_dir), start="2023-03-24T09:00:00Z", speed=0) as url:
        done = demo(home, "--from", "2023-03-24T04:00Z", "--to", "2023-03-24T09:00Z", FEED_BASE_URL=url)
    assert done.returncode == 0, done.stderr
    assert "from Binance" in done.stdout
    assert "300/300" in done.stdout


def test_a_schema_that_no_demo_made_is_left_alone(home: Path, database_url: str) -> None:
    engine = create_engine(with_driver(database_url))
    with engine.begin() as connection:
        connection.execute(text("drop schema if exists demo cascade"))
        connection.execute(text("create schema demo"))
    done = demo(home, FEED_BASE_URL=NOWHERE, DATABASE_URL=database_url)
    with engine.begin() as connection:
        connection.execute(text("drop schema demo cascade"))
    engine.dispose()
    assert done.returncode == 1
    assert "was not made by a demo" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("--tape", "/nowhere", *DAY), "/nowhere"),
        (("--tape", "."), "--tape needs --from and --to"),
        (("--from", "2023-03-24T10:30Z", "--to", "2023-03-24T15:00Z"), "must be a full hour"),
        (("--from", "2023-03-24T15:00Z", "--to", "2023-03-24T10:00Z"), "is not before"),
    ],
)
def test_bad_options_end_in_one_clear_line(home: Path, arguments: tuple[str, ...], fault: str) -> None:
    done = demo(home, *arguments, FEED_BASE_URL=NOWHERE)
    assert done.returncode == 1
    assert fault in done.stderr
    assert "Traceback" not in done.stderr
    assert not (home / ".local.env").exists()
