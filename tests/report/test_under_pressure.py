"""What the service does when the database is slow, other tables are there, or too much is asked of it."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest

from coordinator_dagster.competition import Competition
from coordinator_dagster.report import app as application
from coordinator_dagster.report import turns
from coordinator_dagster.report.app import create_app
from coordinator_dagster.report.problems import Refused
from coordinator_dagster.store.store import open_store
from tests.report.conftest import Make
from tests.report.played import tables
from tests.report.serving import asked, serving
from tests.report.two_players import bearer, make_key


@contextmanager
def locked(made: Competition, table: str) -> Iterator[None]:
    """Nobody else reads that table."""
    with tables(made) as database, database.transaction() as connection:
        connection.exec_driver_sql(f"lock table {table} in access exclusive mode")
        yield


def test_a_table_that_is_locked_holds_up_only_who_asks_for_it(
    competition: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application, "PATIENCE_SECONDS", 1)
    made = competition()
    open_store(made).close()
    with asked(made) as client, ThreadPoolExecutor(40) as crowd:
        assert client.get("/reports/feeds").status_code == 200
        with locked(made, "market_ingestion_state"):
            waiting = [crowd.submit(client.get, "/reports/feeds") for _ in range(40)]
            time.sleep(3)
            began = time.monotonic()
            assert client.get("/reports/leaderboard").status_code == 200
            assert client.get("/static/report.css").status_code == 200
            assert time.monotonic() - began < 5
            answers = [one.result() for one in waiting]
        assert {one.status_code for one in answers} == {503}
        assert {one.json()["message"] for one in answers} == {"the database is busy; ask again in some seconds"}
        assert all(one.headers["retry-after"] for one in answers)
        assert client.get("/reports/feeds").status_code == 200


def test_few_at_once_do_what_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "WAIT_SECONDS", 0.3)
    most, now, lock = [0], [0], threading.Lock()

    def make() -> str:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.2)
        with lock:
            now[0] -= 1
        return "made"

    async def everybody() -> list[object]:
        taking = turns.Turns()
        return await asyncio.gather(*(taking.take(make) for _ in range(12)), return_exceptions=True)

    found = asyncio.run(everybody())
    assert most[0] == turns.AT_ONCE
    refused = [one for one in found if isinstance(one, Refused)]
    assert found.count("made") >= 2 and len(refused) == 12 - found.count("made") > 0
    assert {one.status for one in refused} == {503}


def test_tables_of_another_version_are_said_to_be_so(competition: Make) -> None:
    made = competition()
    key = make_key(made, "operator")
    with tables(made) as database, database.transaction() as connection:
        connection.exec_driver_sql("update alembic_version set version_num = '0008'")
    with asked(made) as client:
        for path in ("/", "/feeds", "/readyz", "/reports/leaderboard", "/models"):
            answer = client.get(path, headers=bearer(key))
            assert (answer.status_code, "of another version" in answer.text) == (503, True), path
        with tables(made) as database, database.transaction() as connection:
            connection.exec_driver_sql("update alembic_version set version_num = '0010'")
        assert client.get("/readyz").status_code == 200
        assert client.get("/models", headers=bearer(key)).status_code == 200


def test_tables_that_go_away_are_noticed(competition: Make) -> None:
    made = competition()
    open_store(made).close()
    with asked(made) as client:
        assert client.get("/reports/feeds").status_code == 200
        with tables(made) as database, database.transaction() as connection:
            connection.exec_driver_sql(f"drop schema {made.schema} cascade")
        gone = client.get("/reports/feeds")
        assert (gone.status_code, set(gone.json())) == (503, {"message", "fieldErrors"})
        assert client.get("/reports/feeds").json() == []
        assert "has not begun" in client.get("/").text


def test_a_fault_of_ours_has_the_shape_of_every_error(competition: Make) -> None:
    app = create_app(competition())

    def broken() -> None:
        raise LookupError("a secret of ours")

    app.add_api_route("/broken", broken)
    with serving(app) as url:
        answer = httpx.get(f"{url}/broken")
    assert (answer.status_code, set(answer.json())) == (500, {"message", "fieldErrors"})
    assert "secret" not in answer.text


def test_head_is_get_without_the_body(competition: Make) -> None:
    with asked(competition()) as client:
        for path in ("/healthz", "/", "/reports/leaderboard", "/static/report.css", "/nothing"):
            head, got = client.head(path), client.get(path)
            assert (head.status_code, head.content) == (got.status_code, b"")
            assert head.headers.get("content-length") == got.headers.get("content-length")
