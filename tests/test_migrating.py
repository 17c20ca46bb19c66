"""Tables are brought up to date while others work on them, and never by an older version."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import text

from coordinator_dagster.errors import UserError
from coordinator_dagster.store import migrating
from coordinator_dagster.store.database import Database
from coordinator_dagster.store.migrating import migrate, newest_revision, try_migration

OLDER = "0008"
WRITE = "lock table market_records in row exclusive mode"  # as any insert does


@pytest.fixture
def database(database_url: str, schema: Callable[[str], str]) -> Iterator[Database]:
    opened = Database(database_url, schema("migrating").replace("-", "_"))
    yield opened
    opened.close()


@pytest.fixture
def older(database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    with monkeypatch.context() as patch:
        upgrade = migrating.command.upgrade
        patch.setattr(migrating.command, "upgrade", lambda config, _head: upgrade(config, OLDER))
        migrate(database)
    assert database.revision() == OLDER
    return database


@contextmanager
def somebody_writes(database: Database, seconds: float) -> Iterator[None]:
    """In a transaction of so long, which has begun; it is over afterwards."""
    begun = threading.Event()

    def write() -> None:
        with database.transaction() as connection:
            connection.execute(text(WRITE))
            begun.set()
            time.sleep(seconds)

    writer = threading.Thread(target=write)
    writer.start()
    begun.wait()
    yield
    writer.join()


def test_it_waits_for_its_turn_and_holds_up_nobody_for_long(older: Database) -> None:
    """Somebody writes for seconds; a third one, who comes while the migration waits, is let through."""
    waits = list[float]()

    def write_now_and_then() -> None:
        while len(waits) < 20:
            began = time.monotonic()
            with older.transaction() as connection:
                connection.execute(text(WRITE))
            waits.append(time.monotonic() - began)
            time.sleep(0.1)

    others = threading.Thread(target=write_now_and_then)
    with somebody_writes(older, seconds=4):
        others.start()
        began = time.monotonic()
        migrate(older)
        assert time.monotonic() - began > 2, "it did not need the lock that the writer holds"
    others.join()
    assert older.revision() == newest_revision()
    assert max(waits) < 2, f"somebody waited {max(waits):.1f} s"


def test_it_says_what_to_do_where_its_turn_never_comes(older: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrating, "PATIENCE_SECONDS", 0)
    with older.transaction() as connection:
        connection.execute(text(WRITE))
        with pytest.raises(UserError, match="pg_stat_activity"):
            migrate(older)
    assert older.revision() == OLDER


def test_a_trial_holds_up_nobody_for_long(older: Database) -> None:
    waits = list[float]()

    def write() -> None:
        time.sleep(0.3)
        began = time.monotonic()
        with older.transaction() as connection:
            connection.execute(text(WRITE))
        waits.append(time.monotonic() - began)

    other = threading.Thread(target=write)
    with somebody_writes(older, seconds=3):
        other.start()
        with pytest.raises(UserError, match=r"are in use.*try again$"):
            try_migration(older)
    other.join()
    assert max(waits) < 2, f"somebody waited {max(waits):.1f} s"


def test_tables_of_a_newer_version_are_refused_in_one_line(database: Database) -> None:
    migrate(database)
    with database.transaction() as connection:
        connection.execute(text("update alembic_version set version_num = '9999'"))
    with pytest.raises(UserError, match=r"not of this version .*9999.*newer one$"):
        migrate(database)
