"""`/private/…`: what a player reads of the own models, and the operator of all."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from coordinator_dagster.runners.logs import last_lines
from coordinator_dagster.store.report import own_forecasts
from slots.market import utc
from tests.report.conftest import Make, run
from tests.report.serving import asked
from tests.report.two_players import ANSWERED, GIVEN, PENDING, SETTLED, UNSCORED, VOIDED, World, bearer, make_key, play

SUSPENDED = "2026-01-05T00:12:00Z"
OWN, BREAKS = "/private/models/ada-answers", "/private/models/ada-breaks"


@pytest.fixture
def world(competition: Make, tmp_path: Path) -> World:
    return play(competition, tmp_path / "models")


def pages(client: httpx.Client, url: str, headers: dict[str, str]) -> Iterator[list[dict[str, Any]]]:
    """What is there, page by page, as the `Link` header leads."""
    while url:
        answer = client.get(url, headers=headers)
        assert answer.status_code == 200, answer.text
        yield answer.json()
        url = str(answer.url.join(answer.links["next"]["url"])) if "next" in answer.links else ""


def moments(rows: Sequence[dict[str, Any]]) -> list[datetime]:
    found = [datetime.fromisoformat(row["performed_at"]) for row in rows]
    assert not [one for one in found if one.tzinfo is None]
    return found


def test_a_player_reads_each_forecast_of_the_own_models(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ada, operator = bearer(world.keys["ada"]), bearer(world.keys["operator"])
    with asked(world.competition) as client:
        rows = client.get(f"{OWN}/forecasts?limit=1000", headers=ada).json()
        assert moments(rows) == sorted(moments(rows), reverse=True)
        assert len(rows) == len(set(moments(rows))) == 120
        by = {row["performed_at"]: row for row in rows}
        assert by[PENDING] == {**by[PENDING], "status": "SUCCESS", "output": {"value": ANSWERED["ada"]}}
        assert [by[PENDING][name] for name in ("score_status", "score_value", "scored_at", "raw")] == [None] * 4
        assert by[PENDING]["exec_time_ms"] >= 0  # microseconds, on a fast machine
        assert by[SETTLED]["score_status"] == "SCORED"
        assert by[SETTLED]["score_value"] < 0
        assert by[VOIDED]["score_failed_reason"].startswith("VOID: ")

        unscored = by[UNSCORED["ada"]]
        assert unscored["score_status"] == "CHARGED"
        assert unscored["score_failed_reason"].startswith(
            "CHARGED: no score, SCORING_FUNCTION: ValueError: ada-unscored"
        )

        failures = client.get(f"{BREAKS}/forecasts?failed=true&end=2026-01-05T00:01Z", headers=ada).json()
        raised, raw = failures
        assert raised["reason"] == "ValueError: ada-raised (main.py:8)"
        assert raised["score_failed_reason"] == "CHARGED: FAILED, the worst score"
        assert raw["raw"] == "{'value': 'ada-raw'}"
        assert client.get(f"{OWN}/forecasts?failed=true", headers=ada).json() == []

        span = "start=2026-01-05T00:10Z&end=2026-01-05T01:10Z"
        read = list(pages(client, f"{OWN}/forecasts?{span}&limit=25", ada))
        assert [len(page) for page in read] == [25, 25, 11]
        joined = [row for page in read for row in page]
        assert joined == rows[49:110]
        assert [moments(joined)[place] for place in (0, -1)] == [utc("2026-01-05T01:10Z"), utc("2026-01-05T00:10Z")]
        assert client.get(f"{OWN}/forecasts?{span}", headers=operator).json() == joined

        # However long there was no failure, a page looks at so many cycles only, and leads on.
        monkeypatch.setattr(own_forecasts, "LOOKED_AT", 50)
        assert [len(page) for page in pages(client, f"{OWN}/forecasts?failed=true", ada)] == [0, 0, 0]
        read = list(pages(client, f"{BREAKS}/forecasts?failed=true", ada))
        assert [len(page) for page in read] == [50, 50, 20]
        assert len({row["performed_at"] for page in read for row in page}) == 120


def test_a_page_never_ends_in_the_middle_of_an_instant(competition: Make) -> None:
    made = competition(pack="tournament", competition_end="2026-01-05T01:00Z")
    run(made)
    url, operator = "/private/models/trend_following/forecasts", bearer(make_key(made, "operator"))
    with asked(made) as client:
        read = list(pages(client, f"{url}?limit=1&end=2026-01-05T00:15Z", operator))
    due = [["btc-in-sample", "btc-out-of-sample"], ["btc-in-sample"], ["btc-in-sample"]]
    assert [[row["prediction_config_id"] for row in page] for page in read] == [*due, due[0], []]


def test_the_log_is_only_ever_that_of_a_model(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "secret.log").write_text("secret")
    (tmp_path / "logs" / "mine.log").write_text("printed")
    assert last_lines(tmp_path / "logs", "mine", tmp_path, 9) == ["printed"]
    for other in ("../secret", f"{tmp_path}/secret", "mine\0", ""):
        assert last_lines(tmp_path / "logs", other, tmp_path, 9) == []


def test_anothers_model_is_as_unknown_as_one_that_is_not_there(world: World) -> None:
    with asked(world.competition) as client:
        for what in ("forecasts", "log", f"explain?at={SETTLED}"):
            answers = [
                client.get(f"/private/models/{model}/{what}", headers=bearer(world.keys[who]))
                for who, model in (("ada", "bob-answers"), ("ada", "nobodys"), ("carl", "ada-answers"))
            ]
            assert {answer.status_code for answer in answers} == {404}
            assert len({answer.text for answer in answers}) == 1
            assert "there is no such model of yours" in answers[0].text
            assert client.get(f"/private/models/bob-answers/{what}", headers=bearer(world.keys["bob"])).is_success
            own = client.get(f"/private/models/bob-answers/{what}", headers=bearer(world.keys["operator"]))
            assert own.is_success


def test_a_player_reads_the_log_the_explanation_and_the_input(world: World) -> None:
    ada, operator = bearer(world.keys["ada"]), bearer(world.keys["operator"])
    with asked(world.competition) as client:
        log = client.get(f"{OWN}/log?lines=3", headers=ada)
        assert log.headers["content-type"].startswith("text/plain")
        assert (log.text, log.headers["cache-control"]) == ("ada-printed\n" * 3, "no-store")
        assert "ValueError: ada-raised" in client.get(f"{BREAKS}/log", headers=operator).text

        for url in (f"{OWN}/explain?at={SETTLED}", f"{BREAKS}/explain?at={SUSPENDED}", f"{OWN}/explain?at={VOIDED}"):
            own, whole = (client.get(url, headers=who).json() for who in (ada, operator))
            (here,), (there,) = own["cycles"], whole["cycles"]
            assert {name: here[name] for name in ("outcome", "forecast", "score", "board")} == {
                name: there[name] for name in ("outcome", "forecast", "score", "board")
            }
            assert here["version"]["detail"].keys() == {"rules", "slot_version", "truth_version"}
            assert here["version"]["detail"].items() <= there["version"]["detail"].items()
            given = whole["input"] if "suspended" not in str(there["forecast"]["reason"]) else None
            assert own["input"] == given, "who was suspended was told nothing"
            assert here["cycle"] == {**there["cycle"], "call": there["cycle"]["call"] if given else None}
        assert there["truth"]["order"]["given_by"]
        assert here["truth"]["order"]["reason"] == "a bad print"

        found = client.get(f"/private/inputs?at={PENDING}", headers=ada).json()
        assert found["payload"] == {"asof_ts": utc(PENDING).timestamp(), "note": GIVEN}
        assert found == client.get(f"/private/inputs?at={PENDING}", headers=operator).json()
        for who, at in (("carl", PENDING), ("ada", "2026-01-05T00:00:30Z"), ("operator", "2026-01-05T00:00:30Z")):
            assert client.get(f"/private/inputs?at={at}", headers=bearer(world.keys[who])).status_code == 404

        nothing = client.get(f"{OWN}/explain?at={SETTLED}&config=btc-61s", headers=ada)
        assert nothing.status_code == 404
        assert nothing.json()["message"].startswith("--config=btc-61s: there is no such config (did you mean btc-60s?)")
        nothing = client.get(f"{OWN}/explain?at=2026-01-05T00:00:30Z", headers=ada)
        assert nothing.status_code == 404
        assert "the nearest are 2026-01-05T00:00:00+00:00 and 2026-01-05T00:01:00+00:00" in nothing.json()["message"]


def test_what_models_at_an_orchestrator_print_is_not_here(world: World) -> None:
    settings = world.competition.settings.model_copy(update={"model_runner": "grpc"})
    with asked(replace(world.competition, settings=settings)) as client:
        answer = client.get(f"{OWN}/log", headers=bearer(world.keys["ada"]))
        (own,) = (
            one for one in client.get("/models", headers=bearer(world.keys["ada"])).json() if one["id"] == "ada-answers"
        )
    assert answer.status_code == 404
    assert answer.json()["message"] == "what the model prints is kept by the model orchestrator, which runs it"
    assert own["runner_log_uri"] is None


MOMENTS = (
    *("2026-01-05T00:00", "2026-01-05", "yesterday", "", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00+14:00"),
    *("1e400", "99999999999999999", "2026-01-05T00:00Z%00", "%ff", "%ed%a0%80", "2026-02-30T00:00Z"),
)
TEXTS = ("%00", "a%00b", "%ff", "%ed%a0%80", "%0a", "x" * 5000, "..%2f..", "%2e%2e", "'; drop table models; --")


def test_whatever_is_asked_is_answered_or_refused(competition: Make, tmp_path: Path) -> None:
    world = play(competition, tmp_path / "models")
    operator = bearer(world.keys["operator"])
    with asked(world.competition) as client:
        for moment in MOMENTS:
            for url in ("/private/inputs?at=", f"{OWN}/explain?at=", *(f"{OWN}/forecasts?{name}=" for name in SPAN)):
                answer = client.get(f"{url}{moment}", headers=operator)
                assert answer.status_code == 422, f"{url}{moment}: {answer.text}"
        for text in TEXTS:
            for url in (f"/private/models/{text}/log", f"/private/models/{text}/forecasts"):
                assert client.get(url, headers=operator).status_code in (404, 422), url
            answer = client.get(f"{OWN}/explain?at={SETTLED}&config={text}", headers=operator)
            assert answer.status_code in (404, 422), f"{text}: {answer.text}"
        for wrong in ("limit=0", "limit=1e9", "limit=99999999999999999999", "failed=perhaps", "failed=%00"):
            assert client.get(f"{OWN}/forecasts?{wrong}", headers=operator).status_code == 422
        for lines in ("0", "-1", "1000000000000"):
            assert client.get(f"{OWN}/log?lines={lines}", headers=operator).status_code == 422


SPAN = ("start", "end", "before")
