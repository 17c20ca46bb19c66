"""Settling again finds the same, and finds what was tampered with."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from coordinator_dagster.audit.resettle import resettle
from coordinator_dagster.cli import app
from coordinator_dagster.clock import FixedClock
from coordinator_dagster.competition import Competition
from coordinator_dagster.errors import UserError
from coordinator_dagster.levers.carry_out import carry_out
from coordinator_dagster.levers.request import Request
from coordinator_dagster.replay import replay
from coordinator_dagster.runtime import Runtime, open_runtime

START = datetime(2026, 1, 5, tzinfo=UTC)


@pytest.fixture
def settled(competition: Callable[..., Competition]) -> Iterator[Runtime]:
    """Two hours of the tournament, with a void cycle, a corrected print and a disqualified model."""
    with open_runtime(competition(pack="tournament")) as runtime:
        runtime.__dict__["clock"] = FixedClock(START + timedelta(hours=2))
        replay(runtime, runtime.competition.windows.between(START, START + timedelta(hours=2)), lambda done: None)
        values = {"open": 9.0, "high": 9.0, "low": 9.0, "close": 9.0, "volume": 1.0}
        for request in (
            Request("void", "r", "me", at=START + timedelta(minutes=30)),
            Request("correct", "r", "me", at=START + timedelta(minutes=44), series=_series(runtime), values=values),
            Request("disqualify", "r", "me", at=START + timedelta(minutes=90), model="trend_following"),
        ):
            carry_out(runtime, request)
        yield runtime


def _series(runtime: Runtime) -> str:
    return str(runtime.store.tape.series()[0])


def tables_that_differ(runtime: Runtime) -> list[str]:
    return [one.table for one in resettle(runtime, lambda done: None)]


def test_settling_again_gives_the_same_and_leaves_nothing_behind(settled: Runtime) -> None:
    assert tables_that_differ(settled) == []
    left = settled.store.database.read(
        "select count(*) as n from pg_namespace where nspname = :name",
        name=f"{settled.store.database.schema}_resettle",
    )
    assert left[0].n == 0


@pytest.mark.parametrize(
    ("tampering", "tables"),
    [
        (
            "update ground_truths set truth_jsonb = truth_jsonb || '{\"return\": 0.5}' where status = 'RESOLVED'",
            ["ground_truths"],
        ),
        ("update scores set score_value = 0 where model_id = 'mean_reversion'", ["scores"]),
        ("update score_rollups set score_sum = score_sum + 1", ["score_rollups"]),
        ("update leaderboards set final = not final", ["leaderboards"]),
        (
            "delete from scores where model_id = 'mean_reversion' and performed_at = '2026-01-05T00:05Z'",
            ["scores"],
        ),
    ],
)
def test_what_was_tampered_with_is_found(settled: Runtime, tampering: str, tables: list[str]) -> None:
    with settled.store.database.transaction() as connection:
        connection.exec_driver_sql(tampering)
    assert tables_that_differ(settled) == tables


def test_nothing_settled_is_said(competition: Callable[..., Competition]) -> None:
    with open_runtime(competition()) as runtime, pytest.raises(UserError, match="settle a window first"):
        resettle(runtime, lambda done: None)


def test_from_the_command_line(settled: Runtime) -> None:
    cli = CliRunner()
    clean = cli.invoke(app, ["audit", "--resettle"])
    assert clean.exit_code == 0, clean.output
    assert "settled again: the same truths, scores and boards" in clean.output
    with settled.store.database.transaction() as connection:
        connection.exec_driver_sql("update leaderboards set final = not final")
    found = cli.invoke(app, ["audit", "--resettle", "--json"])
    assert found.exit_code == 1
    (difference,) = json.loads(found.output)["differences"]
    assert difference["table"] == "leaderboards"
    assert difference["stored_only"] and difference["again_only"]
