"""Competitions to save, and what they hold."""

from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from coordinator_dagster.cli import app
from coordinator_dagster.competition import Competition
from coordinator_dagster.replay import replay
from coordinator_dagster.runtime import open_runtime
from tests.live.conftest import live, venue  # noqa: F401  fixtures
from tests.production.conftest import SKIP

TABLES = "select relname from pg_class where relkind in ('r', 'p') and relnamespace = cast(:schema as regnamespace)"
Run = Callable[..., tuple[int, str]]


def production(test: Any) -> Any:
    """One of the longer proofs."""
    return pytest.mark.production(SKIP(test))


@pytest.fixture
def run() -> Run:
    """Types a command; its exit code, and all that it said."""

    def typed(*arguments: object) -> tuple[int, str]:
        done = CliRunner().invoke(app, [*map(str, arguments)])
        return done.exit_code, f"{done.output}{done.exception or ''}"

    return typed


@pytest.fixture
def replayed(competition: Callable[..., Competition]) -> Competition:
    """An hour, settled."""
    made = competition(competition_end="2026-01-05T01:00Z")
    with open_runtime(made) as runtime:
        replay(runtime, made.windows.between(made.start, made.settings.competition_end), lambda done: None)
    return made


@pytest.fixture
def begun(competition: Callable[..., Competition]) -> Competition:
    """Its tables are there, and nothing in them."""
    made = competition()
    with open_runtime(made):
        return made


def content(made: Competition) -> dict[str, str]:
    """What each table has, as a digest; but for what a backup and a restore note of themselves."""
    with open_runtime(made) as runtime:
        database = runtime.store.database
        names = {row.relname for row in database.read(TABLES, schema=made.schema)} - {"backups", "leases"}
        rows = "select md5(coalesce(string_agg(t::text, ' ' order by t::text), '')) as digest from {} t"
        return {name: database.read(rows.format(name))[0].digest for name in sorted(names)}
