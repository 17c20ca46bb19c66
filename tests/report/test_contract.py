"""Every endpoint as the web app calls it, and what the web app does with the answer. From the contract's document."""

import csv
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from coordinator_dagster.competition import Competition
from coordinator_dagster.report.app import create_app
from coordinator_dagster.runtime import open_runtime
from tests.report.conftest import Make, run
from tests.report.played import IMAGE, PRIVATE, SCRIPT, played, tables
from tests.report.serving import serving

# What the web app sends: the last 30 days, to the millisecond.
SPAN = {"start": "2025-12-06T02:00:00.000Z", "end": "2026-01-05T02:00:00.000Z"}
MODELS = ["broken", "hostile", "mean_reversion", "trend_following", "volatility_regime"]


@pytest.fixture(scope="module")
def client(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Two hours of two rounds; one model raises at times, one always."""
    home = tmp_path_factory.mktemp("contract")
    settings = {"pack": "tournament", "competition_end": "2026-01-05T02:00Z"}
    with played(database_url, home, "contract", windows=3, **settings) as made, asked(made) as asking:
        yield asking


@contextmanager
def asked(made: Competition) -> Iterator[httpx.Client]:
    with serving(create_app(made)) as url, httpx.Client(base_url=url, timeout=15) as asking:
        yield asking


@pytest.fixture
def own(competition: Make) -> Competition:
    """An hour that a test may change."""
    made = competition(competition_end="2026-01-05T01:00Z")
    run(made)
    return made


def listed(answer: httpx.Response) -> list[dict[str, Any]]:
    """A bare array of objects, with 200."""
    assert answer.status_code == 200, answer.text
    assert isinstance(answer.json(), list) and all(isinstance(row, dict) for row in answer.json())
    return answer.json()


def points(rows: list[dict[str, Any]], widget: dict[str, Any]) -> dict[str, list[tuple[datetime, float]]]:
    """What the chart draws: a line a model, `new Date(x + "Z")`, numbers only."""
    native, lines = widget["nativeConfiguration"], dict[str, list[tuple[datetime, float]]]()
    for row in rows:
        at = datetime.fromisoformat(f"{row[native['xAxis']['name']]}Z")
        for series in native["yAxis"]["series"]:
            value = row[series["name"]]
            if isinstance(value, int | float) and not isinstance(value, bool):
                lines.setdefault(str(row["model_id"]), []).append((at, value))
    return lines


def test_the_schema_and_all_that_it_names(client: httpx.Client) -> None:
    schema = client.get("/reports/schema").json()
    assert set(schema) == {"schema_version", "leaderboard_columns", "metrics_widgets"}
    assert client.get("/reports/schema/leaderboard-columns").json() == schema["leaderboard_columns"]
    assert client.get("/reports/schema/metrics-widgets").json() == schema["metrics_widgets"]
    board = listed(client.get("/reports/leaderboard"))
    for column in schema["leaderboard_columns"]:
        assert column["type"] in ("PROJECT", "VALUE", "USERNAME"), "MODEL is not known to the web app any more"
        assert all(column["property"] in row for row in board)
    urls = [widget["endpointUrl"] for widget in schema["metrics_widgets"]]
    assert len(set(urls)) == len(urls), "the web app takes two of one address for the same"
    for widget in schema["metrics_widgets"]:
        rows = listed(client.get(widget["endpointUrl"], params={"projectIds": ",".join(MODELS), **SPAN}))
        lines = points(rows, widget)
        assert sorted(lines) == MODELS and all(len(line) > 1 for line in lines.values())
        assert all(line == sorted(line, key=lambda one: one[0]) for line in lines.values())
        for filtered in widget["nativeConfiguration"].get("filterConfig", []):
            assert len({row[filtered["property"]] for row in rows}) == 2


def test_the_leaderboard_joins_with_the_models(client: httpx.Client) -> None:
    board, models = (listed(client.get(f"/reports/{name}")) for name in ("leaderboard", "models"))
    fields = {"model_id", "model_name", "cruncher_name", "cruncher_id", "deployment_id"}
    assert all(set(row) == fields and all(row.values()) for row in models)
    assert [row["model_id"] for row in models] == MODELS == sorted(row["model_id"] for row in board)
    assert models[1] | {"deployment_id": ""} == {
        "model_id": "hostile",
        "model_name": SCRIPT,
        "cruncher_name": IMAGE,
        "cruncher_id": "player-hostile",
        "deployment_id": "",
    }
    ranks = [row["rank"] or 999_999 for row in board]
    assert ranks == sorted(ranks)
    for row in board:
        assert row["status"] == ("suspended" if row["model_id"] == "broken" else "active")
        assert (row["rank"] is None) == (row["model_id"] in ("broken", "hostile")) == bool(row["unranked_reason"])
        assert row["score_recent"] == row["recent"] == row["score_metrics"]["recent"]
        assert datetime.fromisoformat(row["created_at"]).tzinfo is None
    assert listed(client.get("/reports/leaderboard?limit=1&offset=1")) == board[1:2]


def test_global_and_params_are_a_row_a_model_and_a_row_a_scope(client: httpx.Client) -> None:
    asked = {"projectIds": "hostile, trend_following,", **SPAN}
    board = {row["model_id"]: row for row in listed(client.get("/reports/leaderboard"))}
    whole = listed(client.get("/reports/models/global", params=asked))
    assert [row["model_id"] for row in whole] == ["hostile", "trend_following"]
    assert whole == listed(client.get("/reports/models/summary", params=asked))
    for row in whole:
        assert row["score_metrics"] == board[row["model_id"]]["score_metrics"]
        assert datetime.fromisoformat(row["performed_at"]).tzinfo is None
    repeated = [("projectIds", "trend_following"), ("projectIds", "hostile"), *SPAN.items()]
    assert listed(client.get("/reports/models/global", params=repeated)) == whole
    rows = listed(client.get("/reports/models/params", params=asked))
    assert [(row["model_id"], row["scope_key"]) for row in rows] == [
        (model, scope)
        for model in ("hostile", "trend_following")
        for scope in ("BTC-in-sample-300s", "BTC-out-of-sample-900s")
    ]
    for row in rows:
        assert row["scope"].items() <= row.items(), "a chart filters by what is at the top level"
        assert row["asset"] == "BTC" and row["horizon_seconds"] in (300, 900)
    (one,) = listed(client.get("/reports/models/params?scope_key=BTC-in-sample-300s&projectIds=trend_following"))
    assert one == rows[2]
    past = {"start": "2025-01-01T00:00Z", "end": "2025-02-01T00:00Z"}
    for path in ("models/global", "models/params", "models/metrics", "predictions", "truths"):
        assert listed(client.get(f"/reports/{path}", params=past)) == []


def test_metrics_through_time_are_thinned_to_the_limit(client: httpx.Client) -> None:
    rows = listed(client.get("/reports/models/metrics"))
    at = sorted({row["performed_at"] for row in rows})
    assert at[0] == "2026-01-05T01:00:00" and 2 <= len(at) <= 3
    assert len(rows) == 5 * len(at)
    newest = listed(client.get("/reports/models/metrics?limit=5"))
    assert {row["performed_at"] for row in newest} == {at[-1]}


def test_predictions_are_paged_by_whole_instants(client: httpx.Client) -> None:
    every = listed(client.get("/reports/predictions"))
    assert len(every) == 5 * (24 + 8)
    assert [row["performed_at"] for row in every] == sorted(row["performed_at"] for row in every)
    pages, path = [], "/reports/predictions?limit=20"
    while path:
        answer = client.get(path)
        pages.insert(0, listed(answer))
        assert len(pages[0]) <= 20 + 5
        path = answer.links and str(answer.url.join(answer.links["next"]["url"]))
    assert [row for page in pages for row in page] == every
    own = listed(client.get("/reports/predictions", params={"projectIds": "hostile", **SPAN}))
    assert own == [row for row in every if row["model_id"] == "hostile"]
    assert {row["status"] for row in own} == {"SUCCESS", "FAILED"}
    for row in own:
        assert row["scope"].items() <= row.items()
        assert row["score_status"] == ("CHARGED" if row["status"] == "FAILED" else "SCORED")
        rule = re.fullmatch(
            r"CHARGED: FAILED, the (90th percentile of 3 answers|worst score)", row["score_failed_reason"] or ""
        )
        assert bool(rule) == (row["status"] == "FAILED")
        assert row["score_failed"] is False and isinstance(row["score_value"], float)
    assert PRIVATE not in str(every)


def test_a_forecast_without_a_score_says_so(own: Competition) -> None:
    change(own, "delete from scores where performed_at >= '2026-01-05T00:50Z'")
    with asked(own) as client:
        last = listed(client.get("/reports/predictions"))[-1]
    assert last["score_failed"] is True
    assert (last["score_value"], last["scored_at"], last["score_status"]) == (None, None, None)


def test_truths_are_one_a_cycle(client: httpx.Client) -> None:
    rows = listed(client.get("/reports/truths"))
    assert len(rows) == 24 + 8
    assert {row["status"] for row in rows} == {"RESOLVED"}
    assert all(row["truth"]["entry_price"] > 0 and row["performed_at"] < row["resolvable_at"] for row in rows)
    answer = client.get("/reports/truths?limit=5")
    older = answer.url.join(answer.links["next"]["url"])
    assert listed(client.get(older))[-1]["performed_at"] < listed(answer)[0]["performed_at"]


def test_feeds_and_their_tail_under_both_names(client: httpx.Client) -> None:
    (feed,) = listed(client.get("/reports/feeds"))
    series = {"kind": "candle", "granularity": "1m"}
    named = {"source": "simulated", "subject": "BTC", "provider": "simulated", "asset": "BTC"}
    assert (series | named).items() <= feed.items()
    assert feed["record_count"] >= 120
    oldest, newest = (datetime.fromisoformat(feed[name]) for name in ("oldest_ts", "newest_ts"))
    assert feed["record_count"] == (newest - oldest) / timedelta(minutes=1) + 1, "it counts what is on the tape"
    assert datetime.fromisoformat(feed["watermark_ts"]).utcoffset() == timedelta(0)
    for names in ({"source": "simulated", "subject": "BTC"}, {"provider": "simulated", "asset": "BTC"}, {}):
        rows = listed(client.get("/reports/feeds/tail", params={**series, **names, "limit": 20}))
        assert [row["ts_event"] for row in rows] == sorted((row["ts_event"] for row in rows), reverse=True)
        assert len(rows) == 20 and datetime.fromisoformat(rows[0]["ts_event"]) == newest
        assert set(rows[0]["values"]) == {"open", "high", "low", "close", "volume"}
    assert listed(client.get("/reports/feeds/tail?source=other")) == []
    assert [client.get(f"/reports/feeds/tail?limit={limit}").status_code for limit in (0, 1, 200, 201)] == [
        422,
        200,
        200,
        422,
    ]


def test_feeds_are_hidden_where_there_are_none(competition: Make) -> None:
    made = competition(feed_provider="none")
    with open_runtime(made):
        pass
    with serving(create_app(made)) as url:
        assert httpx.get(f"{url}/reports/feeds").json() == []


@pytest.mark.parametrize(
    ("path", "properties"),
    [
        ("/reports/models/global?start=yesterday", ["start"]),
        ("/reports/predictions?start=2026-01-05T00:00:00&limit=0", ["start", "limit"]),
        ("/reports/predictions?end=9999-12-31T23:59:59-23:00", ["end"]),
        ("/reports/predictions?projectIds=a%00b", ["projectIds.0"]),
        ("/reports/feeds/tail?source=%00", ["source"]),
    ],
)
def test_bad_parameters_are_named_all_at_once(client: httpx.Client, path: str, properties: list[str]) -> None:
    answer = client.get(path)
    assert answer.status_code == 422
    assert [one["property"] for one in answer.json()["fieldErrors"]] == properties
    assert all(one["message"] in answer.json()["message"] for one in answer.json()["fieldErrors"])


def test_what_is_not_there_and_what_is_not_allowed_have_the_same_shape(client: httpx.Client) -> None:
    for answer, status in ((client.get("/nothing"), 404), (client.post("/reports/leaderboard"), 405)):
        assert answer.status_code == status
        assert set(answer.json()) == {"message", "fieldErrors"}


@pytest.mark.parametrize("path", ["leaderboard", "models", "predictions", "feeds", "schema", "leaderboard.csv"])
def test_who_has_an_answer_is_not_sent_it_again(client: httpx.Client, path: str) -> None:
    first = client.get(f"/reports/{path}")
    assert first.headers["etag"].startswith('W/"')
    for seen in (first.headers["etag"], f'"other", {first.headers["etag"]}', "*"):
        again = client.get(f"/reports/{path}", headers={"If-None-Match": seen})
        assert (again.status_code, again.content) == (304, b"")
    assert client.get(f"/reports/{path}", headers={"If-None-Match": '"other"'}).content == first.content
    plain = client.get(f"/reports/{path}", headers={"Accept-Encoding": "gzip;q=0"})
    assert "content-encoding" not in plain.headers and plain.content == first.content


def test_what_is_kept_changes_with_what_is_stored(own: Competition) -> None:
    with asked(own) as client:
        first = client.get("/reports/leaderboard")
        assert first.headers["content-encoding"] == "gzip"
        assert client.get("/reports/leaderboard").headers["etag"] == first.headers["etag"]
        change(own, "update leaderboards set entries_jsonb = jsonb_set(entries_jsonb, '{0,cruncher_name}', '\"=1+1\"')")
        assert client.get("/reports/leaderboard").json() == first.json(), "a board that changes says when"
        change(own, "update leaderboards set created_at = now()")
        assert client.get("/reports/leaderboard").json()[0]["cruncher_name"] == "=1+1"
        assert ",'=1+1," in client.get("/reports/leaderboard.csv").text, "no spreadsheet runs it"
        change(own, "update models set name = 'Renamed', updated_at = now()")
        assert "Renamed" in client.get("/reports/models").text


def change(made: Competition, sql: str) -> None:
    with tables(made) as database, database.transaction() as connection:
        connection.exec_driver_sql(sql)


def test_tables_for_a_spreadsheet(client: httpx.Client) -> None:
    answer = client.get("/reports/leaderboard.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="leaderboard.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    board = listed(client.get("/reports/leaderboard"))
    assert [row["model_id"] for row in rows] == [row["model_id"] for row in board]
    assert [float(row["anchor"]) for row in rows] == [row["score_anchor"] for row in board]
    scores = list(csv.DictReader(io.StringIO(client.get("/reports/predictions.csv?projectIds=hostile").text)))
    listed_ = listed(client.get("/reports/predictions?projectIds=hostile"))
    assert [float(row["score_value"]) for row in scores] == [row["score_value"] for row in listed_]


def test_the_description_has_an_example_of_every_row(client: httpx.Client) -> None:
    described = client.get("/openapi.json").json()
    for path, methods in described["paths"].items():
        if path.startswith("/reports") and not path.endswith(".csv"):
            content = methods["get"]["responses"]["200"]["content"]["application/json"]["schema"]
            name = str(content.get("items", content)["$ref"]).rsplit("/")[-1]
            assert "example" in str(described["components"]["schemas"][name]), name
            assert methods["get"]["summary"] and methods["get"]["description"]
