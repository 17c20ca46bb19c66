"""A schema for a module's made-up competitions, and how many examples are tried."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import event, text

from coordinator_dagster.competition import read_competition
from coordinator_dagster.store.store import open_store
from slots.contracts import SLOT_NAMES
from tests.leak.cases import END, START
from tests.leak.world import World

WATCHING = {
    "RAW_INPUT_PROVIDER": "tests.leak.watching:provide_raw_input",
    "GROUND_TRUTH_RESOLVER": "tests.leak.watching:resolve_ground_truth",
}


@pytest.fixture(scope="module")
def world(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Made once: only tables are emptied between examples, for migrating takes longer than an example."""
    with pytest.MonkeyPatch.context() as patch:
        for name in SLOT_NAMES:
            patch.delenv(name, raising=False)
        settings = {
            "COMPETITION": f"test-{os.getpid()}-leak",
            "DATABASE_URL": database_url,
            "COMPETITION_START": START.isoformat(),
            "COMPETITION_END": END.isoformat(),
            **WATCHING,
        }
        for name, value in settings.items():
            patch.setenv(name, value)
        base = read_competition(tmp_path_factory.mktemp("leak"))
    store = open_store(base)
    event.listen(store.database.engine, "connect", _commit_lightly)
    store.database.engine.dispose()
    yield World(base, store)
    with store.database.transaction() as connection:
        connection.execute(text(f"drop schema {base.schema} cascade"))
    store.close()


def _commit_lightly(connection: Any, _record: Any) -> None:
    """Nothing here must outlive a crash of the server: do not wait for the disk."""
    connection.cursor().execute("set synchronous_commit = off")
    connection.commit()
