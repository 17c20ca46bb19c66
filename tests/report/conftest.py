"""A competition of an hour with an archived tape of two days."""

from collections.abc import Callable
from datetime import date

import pytest

from coordinator_dagster.competition import Competition
from coordinator_dagster.replay import replay
from coordinator_dagster.runtime import open_runtime

DAYS = [date(2026, 1, 4), date(2026, 1, 5)]
Make = Callable[..., Competition]


@pytest.fixture
def archived(competition: Make) -> Competition:
    """No model has been asked; its tape is archived."""
    made = competition(competition_end="2026-01-05T01:00Z")
    with open_runtime(made) as runtime:
        runtime.ingest(made.windows.between(made.start, made.closing))
        runtime.archive(DAYS)
    return made


def run(made: Competition) -> None:
    """All of its windows."""
    with open_runtime(made) as runtime:
        replay(runtime, made.windows.between(made.start, made.closing), lambda done: None)
