"""The report API over a real competition: what it shows, and what it keeps to itself."""

import hashlib
import http.client
import io
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pandas as pd
import pytest
from sqlalchemy import text

from coordinator_dagster.competition import Competition
from coordinator_dagster.report import tape
from coordinator_dagster.report.app import create_app
from coordinator_dagster.runners.folders import discover
from coordinator_dagster.stages.archive import archive_folder
from coordinator_dagster.store.database import Database
from coordinator_dagster.store.store import open_store
from tests.cli.test_cli import PASSWORD, UNREACHABLE
from tests.conftest import PROJECT
from tests.report.conftest import Make, run
from tests.report.serving import asked, serving

FILE = "day=2026-01-05/asset=BTC/kind=candle/simulated-1m.parquet"


def test_before_its_first_run_a_competition_has_nothing_to_show_and_nothing_is_made(
    competition: Make, database_url: str
) -> None:
    made = competition()
    with asked(made) as client:
        assert client.get("/reports/leaderboard").json() == []
        assert client.get("/tape").json() == []
        assert client.get(f"/tape/{FILE}").status_code == 404
        health = client.get("/readyz")
    assert health.status_code == 200
    assert health.json()["status"] == "ok"
    assert health.json()["competition"] == made.settings.competition
    assert health.json()["database"].startswith("PostgreSQL ")
    database = Database(database_url, made.schema)
    assert database.read("select from pg_namespace where nspname = :name", name=made.schema) == []
    database.close()


def test_the_leaderboard_is_the_one_that_the_web_app_reads(competition: Make) -> None:
    made = competition(competition_end="2026-01-05T01:00Z")
    began = datetime.now(UTC).replace(tzinfo=None)
    open_store(made).close()
    with asked(made) as client:
        assert client.get("/reports/leaderboard").json() == []
        run(made)
        answer = client.get("/reports/leaderboard?unknown=parameter")
    assert answer.status_code == 200
    rows = answer.json()
    assert [row["rank"] for row in rows] == [1, 2, 3]
    found, _ = discover(PROJECT / "examples" / "models")
    names = {id_: (info.name, info.player_name) for id_, (info, _) in found.items()}
    assert {row["model_id"] for row in rows} == set(names)
    for row in rows:
        created = datetime.fromisoformat(row["created_at"])
        assert created.tzinfo is None, "the web app adds the Z itself"
        assert began <= created <= began + timedelta(minutes=5)
        assert set(row["score_metrics"]) == {"recent", "steady", "anchor"}
        assert {f"score_{name}": value for name, value in row["score_metrics"].items()}.items() <= row.items()
        assert row["score_ranking"] == {"key": "anchor", "value": row["score_anchor"], "direction": "desc"}
        assert row["score_payload"]["due"] == 60
        assert (row["model_name"], row["cruncher_name"]) == names[row["model_id"]]
    anchors = [row["score_anchor"] for row in rows]
    assert anchors == sorted(anchors, reverse=True)


def test_who_is_unranked_stands_last_without_a_number(competition: Make) -> None:
    made = competition(competition_end="2026-01-05T01:00Z")
    run(made)
    database = Database(made.settings.database_url.get_secret_value(), made.schema)
    with database.transaction() as connection:
        connection.execute(
            text(
                "update leaderboards set entries_jsonb = jsonb_set(jsonb_set(jsonb_set(entries_jsonb, '{0,rank}', "
                " 'null'), '{0,score,metrics,anchor}', 'null'), '{0,score,ranking,value}', 'null')"
            )
        )
    database.close()
    with asked(made) as client:
        rows = client.get("/reports/leaderboard").json()
    assert [row["rank"] for row in rows] == [2, 3, None]
    assert rows[-1]["score_anchor"] is None
    assert "value" not in rows[-1]["score_ranking"]


def test_the_tape_is_listed_and_its_files_are_those_of_the_archive(
    archived: Competition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tape, "LOOKED_AT_EVERY", 1e-9)
    folder = archive_folder(archived)
    with asked(archived) as client:
        index = client.get("/tape").json()
        assert [(one["day"], one["series"]) for one in index] == [
            ("2026-01-04", "simulated/BTC/candle/1m"),
            ("2026-01-05", "simulated/BTC/candle/1m"),
        ]
        for one in index:
            answer = client.get(f"/tape/{quote(one['path'])}")
            content = (folder / one["path"]).read_bytes()
            assert answer.content == content
            assert one["sha256"] == hashlib.sha256(content).hexdigest()
            assert one["bytes"] == len(content) == int(answer.headers["content-length"])
            assert answer.headers["etag"] == f'"{one["sha256"]}"'
            assert len(pd.read_parquet(io.BytesIO(answer.content))) == one["rows"]
        (folder / index[0]["path"]).unlink()
        with (folder / index[1]["path"]).open("ab") as file:
            file.write(b"more than was noted")
        assert client.get("/tape").json() == [], "what is not there as it was noted is not listed"
        assert [client.get(f"/tape/{quote(one['path'])}").status_code for one in index] == [404, 404]


OUTSIDE = (
    "../secret",
    "..%2Fsecret",
    "%2e%2e%2fsecret",
    "%252e%252e%252fsecret",
    "/etc/passwd",
    "%2Fetc%2Fpasswd",
    "day=2026-01-05/../../../secret",
    "day=2026-01-05/asset=BTC/kind=candle/../../../../secret",
    "day=2026-01-05/asset=%2e%2e/kind=candle/simulated-1m.parquet",
    "day=2026-01-05/asset=..%2F..%2Fx/kind=candle/simulated-1m.parquet",
    "day=2026-01-05/asset=BTC/kind=candle/..%2f..%2f..%2f..%2fsecret-1m.parquet",
    "day=2026-01-05/asset=BTC/kind=candle/simulated-1m.parquet%00",
    "day=2026-01-05/asset=BTC%00/kind=candle/simulated-1m.parquet",
    "day=2026-01-05/asset=%2542TC/kind=candle/simulated-1m.parquet",
    "day=2026-01-05/asset=BTC/kind=candle/simulated-1m.parquet/",
    "day=2026-01-05//asset=BTC/kind=candle/simulated-1m.parquet",
    "./day=2026-01-05/asset=BTC/kind=candle/simulated-1m.parquet",
    "day=2026-01-05/asset=BTC/kind=candle/other-1m.parquet",
    "day=2026-13-05/asset=BTC/kind=candle/simulated-1m.parquet",
    f"day=2026-01-05/asset={'B' * 300}/kind=candle/simulated-1m.parquet",
)


def test_no_other_file_can_be_read_however_its_path_is_written(archived: Competition) -> None:
    folder = archive_folder(archived)
    (folder.parent / "secret").write_text("secret")
    (folder / "secret").write_text("secret")
    stray = folder / FILE.replace("simulated", "other")  # named like an archived file, but in no index
    stray.write_text("secret")
    with serving(create_app(archived)) as url:
        host = httpx.URL(url)
        for path in OUTSIDE:
            connection = http.client.HTTPConnection(host.host, host.port)
            connection.request("GET", f"/tape/{path}")  # as it is: other clients take out `..` themselves
            answer = connection.getresponse()
            body = answer.read().decode()
            connection.close()
            assert (answer.status, "secret" in body) == (404, False), f"{path}: {answer.status} {body}"
        assert httpx.get(f"{url}/tape/{quote(FILE)}").status_code == 200


def test_while_the_database_is_away_it_says_so_and_nothing_of_its_address(competition: Make) -> None:
    made = competition(database_url=UNREACHABLE)
    with asked(made) as client:
        answers = [client.get(path) for path in ("/readyz", "/reports/leaderboard", "/tape", f"/tape/{FILE}")]
    assert [answer.status_code for answer in answers] == [503] * 4
    assert answers[0].json()["status"] == "unavailable"
    for answer in answers:
        assert "the database does not answer" in answer.text
        assert not [one for one in (PASSWORD, "somebody", "nowhere", "127.0.0.1") if one in answer.text]


def test_what_is_wrong_with_the_slots_is_for_the_operator_s_log(
    competition: Make, caplog: pytest.LogCaptureFixture
) -> None:
    made = competition(scoring_function="nowhere.mine:score")
    app = create_app(made)
    app.add_api_route("/version", made.score_version)
    with serving(app) as url:
        answer = httpx.get(f"{url}/version")
    assert (answer.status_code, set(answer.json())) == (503, {"message", "fieldErrors"})
    assert "nowhere" not in answer.text
    assert "nowhere.mine" in caplog.text


def test_one_pool_serves_all_and_is_closed_at_the_end(archived: Competition, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Database] = []
    made_as_before = Database.__init__

    def noting(self: Database, *arguments: Any) -> None:
        opened.append(self)
        made_as_before(self, *arguments)

    monkeypatch.setattr(Database, "__init__", noting)
    with asked(archived) as client:
        for _ in range(10):
            client.get("/readyz")
            client.get("/tape")
        assert len(opened) == 1
        assert opened[0].engine.pool.checkedin() == 1
    assert opened[0].engine.pool.checkedin() == 0
