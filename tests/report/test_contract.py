"""Every endpoint as the web app calls it, and what the web app does with the answer. From the contract's document."""

import csv
import io
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from coordinator_dagster.competition import Competition
from coordinator_dagster.report.app import create_app
from coordinator_dagster.runtime import open_runtime
from tests.report.conftest import Make, run
from tests.report.serving import serving

PRIVATE = "the-models-own-words"
# What the web app sends: the last 30 days, to the millisecond.
SPAN = {"start": "2025-12-06T02:00:00.000Z", "end": "2026-01-05T02:00:00.000Z"}
MODEL = """
from slots.tracker import TrackerBase
class Mine(TrackerBase):
    def tick(self, data): self.minute = data["asof_ts"] // 60
    def predict(self, asset, horizon, step):
        {body}
        return {{"value": {value}}}
"""


@pytest.fixture
def made(competition: Make, model_folder: Callable[[str, str], Path]) -> Competition:
    """Two hours of two rounds; one of three models raises at times, and its player's name is a formula."""
    for name, value in (("steady", "0.0"), ("wild", "0.001"), ("shaky", "0.0001")):
        body = f'if self.minute % 15 == 0: raise ValueError("{PRIVATE}")' if name == "shaky" else "pass"
        folder = model_folder(name, MODEL.format(body=body, value=value))
    (folder / "wild" / "model.toml").write_text('name = "Wild"\nplayer_id = "p-7"\nplayer_name = "=1+1"\n')
    found = competition(pack="tournament", models_dir=folder, model_runner_max_consecutive_failures=0)
    run(found)
    return found


@pytest.fixture
def client(made: Competition) -> Iterator[httpx.Client]:
    with serving(create_app(made)) as url, httpx.Client(base_url=url, timeout=15) as asking:
        yield asking


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
        rows = listed(client.get(widget["endpointUrl"], params={"projectIds": "shaky,steady,wild", **SPAN}))
        lines = points(rows, widget)
        assert set(lines) == {"shaky", "steady", "wild"} and all(len(line) > 1 for line in lines.values())
        assert all(line == sorted(line, key=lambda one: one[0]) for line in lines.values())
        for filtered in widget["nativeConfiguration"].get("filterConfig", []):
            assert len({row[filtered["property"]] for row in rows}) == 2


def test_the_leaderboard_joins_with_the_models(client: httpx.Client) -> None:
    board, models = (listed(client.get(f"/reports/{name}")) for name in ("leaderboard", "models"))
    fields = {"model_id", "model_name", "cruncher_name", "cruncher_id", "deployment_id"}
    assert all(set(row) == fields and all(row.values()) for row in models)
    assert {row["model_id"] for row in board} == {row["model_id"] for row in models} == {"shaky", "steady", "wild"}
    assert next(row for row in models if row["model_id"] == "wild")["cruncher_id"] == "p-7"
    ranks = [row["rank"] or 999_999 for row in board]
    assert ranks == sorted(ranks)
    for row in board:
        assert row["status"] == "active"
        assert row["score_recent"] == row["recent"] == row["score_metrics"]["recent"]
        assert datetime.fromisoformat(row["created_at"]).tzinfo is None
    assert listed(client.get("/reports/leaderboard?limit=1&offset=1")) == board[1:2]


def test_global_and_params_are_a_row_a_model_and_a_row_a_scope(client: httpx.Client) -> None:
    asked = {"projectIds": "steady, wild,", **SPAN}
    board = {row["model_id"]: row for row in listed(client.get("/reports/leaderboard"))}
    whole = listed(client.get("/reports/models/global", params=asked))
    assert [row["model_id"] for row in whole] == ["steady", "wild"]
    assert whole == listed(client.get("/reports/models/summary", params=asked))
    for row in whole:
        assert row["score_metrics"] == board[row["model_id"]]["score_metrics"]
        assert datetime.fromisoformat(row["performed_at"]).tzinfo is None
    repeated = [("projectIds", "wild"), ("projectIds", "steady"), *SPAN.items()]
    assert listed(client.get("/reports/models/global", params=repeated)) == whole
    rows = listed(client.get("/reports/models/params", params=asked))
    assert [(row["model_id"], row["scope_key"]) for row in rows] == [
        (model, scope) for model in ("steady", "wild") for scope in ("BTC-in-sample-300s", "BTC-out-of-sample-900s")
    ]
    for row in rows:
        assert row["scope"].items() <= row.items(), "a chart filters by what is at the top level"
        assert row["asset"] == "BTC" and row["horizon_seconds"] in (300, 900)
    (one,) = listed(client.get("/reports/models/params?scope_key=BTC-in-sample-300s&projectIds=wild"))
    assert one == rows[2]
    past = {"start": "2025-01-01T00:00Z", "end": "2025-02-01T00:00Z"}
    for path in ("models/global", "models/params", "models/metrics", "predictions", "truths"):
        assert listed(client.get(f"/reports/{path}", params=past)) == []


def test_metrics_through_time_are_thinned_to_the_limit(client: httpx.Client) -> None:
    rows = listed(client.get("/reports/models/metrics"))
    at = sorted({row["performed_at"] for row in rows})
    assert at[0] == "2026-01-05T01:00:00" and 2 <= len(at) <= 3
    assert len(rows) == 3 * len(at)
    newest = listed(client.get("/reports/models/metrics?limit=3"))
    assert {row["performed_at"] for row in newest} == {at[-1]}


def test_predictions_are_paged_by_whole_instants(client: httpx.Client) -> None:
    every = listed(client.get("/reports/predictions"))
    assert len(every) == 3 * (24 + 8)
    assert [row["performed_at"] for row in every] == sorted(row["performed_at"] for row in every)
    pages, path = [], "/reports/predictions?limit=20"
    while path:
        answer = client.get(path)
        pages.insert(0, listed(answer))
        assert len(pages[0]) <= 20 + 3
        path = answer.links.get("next", {}).get("url")
    assert [row for page in pages for row in page] == every
    own = listed(client.get("/reports/predictions", params={"projectIds": "shaky", **SPAN}))
    assert own == [row for row in every if row["model_id"] == "shaky"]
    for row in own:
        assert row["scope"].items() <= row.items()
        failed = datetime.fromisoformat(row["performed_at"]).minute % 15 == 0
        assert (row["status"], row["score_status"]) == (("FAILED", "CHARGED") if failed else ("SUCCESS", "SCORED"))
        assert row["score_failed"] is False
        assert row["score_failed_reason"] == ("CHARGED: FAILED, the worst score" if failed else None)
        assert isinstance(row["score_value"], float)
    assert PRIVATE not in str(every)


def test_a_forecast_without_a_score_says_so(made: Competition, client: httpx.Client) -> None:
    with open_runtime(made) as runtime:
        runtime.store.database.engine.execution_options(isolation_level="AUTOCOMMIT").connect().exec_driver_sql(
            f"delete from {made.schema}.scores where performed_at >= '2026-01-05T01:50Z'"
        )
    last = listed(client.get("/reports/predictions"))[-1]
    assert (last["score_failed"], last["score_value"], last["scored_at"], last["score_status"]) == (True,) + (None,) * 3


def test_truths_are_one_a_cycle(client: httpx.Client) -> None:
    rows = listed(client.get("/reports/truths"))
    assert len(rows) == 24 + 8
    assert {row["status"] for row in rows} == {"RESOLVED"}
    assert all(row["truth"]["entry_price"] > 0 and row["performed_at"] < row["resolvable_at"] for row in rows)
    answer = client.get("/reports/truths?limit=5")
    assert listed(client.get(answer.links["next"]["url"]))[-1]["performed_at"] < listed(answer)[0]["performed_at"]


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


def test_a_new_board_is_shown_at_once(made: Competition, client: httpx.Client) -> None:
    first = client.get("/reports/leaderboard")
    assert first.headers["content-encoding"] == "gzip"
    assert client.get("/reports/leaderboard").headers["etag"] == first.headers["etag"]
    with open_runtime(made) as runtime, runtime.store.database.transaction() as connection:
        connection.exec_driver_sql("update models set name = 'Renamed', updated_at = now() where id = 'wild'")
        connection.exec_driver_sql("update leaderboards set entries_jsonb = '[]', created_at = now()")
    assert client.get("/reports/leaderboard").json() == []
    assert "Renamed" in client.get("/reports/models").text


def test_tables_for_a_spreadsheet(client: httpx.Client) -> None:
    answer = client.get("/reports/leaderboard.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="leaderboard.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    board = listed(client.get("/reports/leaderboard"))
    assert [row["model_id"] for row in rows] == [row["model_id"] for row in board]
    assert [float(row["anchor"]) for row in rows] == [row["score_anchor"] for row in board]
    assert {row["cruncher_name"] for row in rows if row["model_id"] == "wild"} == {"'=1+1"}, "no spreadsheet runs it"
    scores = list(csv.DictReader(io.StringIO(client.get("/reports/predictions.csv?projectIds=wild").text)))
    listed_ = listed(client.get("/reports/predictions?projectIds=wild"))
    assert [float(row["score_value"]) for row in scores] == [row["score_value"] for row in listed_]


def test_the_description_has_an_example_of_every_row(client: httpx.Client) -> None:
    described = client.get("/openapi.json").json()
    for path, methods in described["paths"].items():
        if path.startswith("/reports") and not path.endswith(".csv"):
            content = methods["get"]["responses"]["200"]["content"]["application/json"]["schema"]
            name = str(content.get("items", content)["$ref"]).rsplit("/")[-1]
            assert "example" in str(described["components"]["schemas"][name]), name
            assert methods["get"]["summary"] and methods["get"]["description"]
