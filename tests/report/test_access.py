"""Who asks: keys in headers only, refused when wrong, revoked or too many."""

import time
from contextlib import closing

import pytest
from limits import parse

from coordinator_dagster.errors import UserErrors
from coordinator_dagster.keys import key_of
from coordinator_dagster.report import access
from coordinator_dagster.report.app import create_app
from coordinator_dagster.store.database import Database
from coordinator_dagster.store.store import open_store
from tests.report.conftest import Make
from tests.report.serving import asked
from tests.report.two_players import bearer, make_key

PRIVATE = "/private/inputs?at=2026-01-05T00:00Z"  # of which there is none
WRONG = key_of(1, 64 * "0")


def test_a_key_counts_in_the_two_headers_and_nowhere_else(competition: Make) -> None:
    made = competition()
    key = make_key(made, "operator")
    with asked(made) as client:
        for right in (bearer(key), {"Authorization": f"bearer {key}"}, {"X-API-Key": key}):
            answer = client.get(PRIVATE, headers=right)
            assert answer.status_code == 404, "past the door, there is no such input"
            assert answer.json()["message"].startswith("there is no input of 2026-01-05T00:00:00+00:00; ")
        client.cookies.update({"X-API-Key": key, "Authorization": f"Bearer {key}"})
        for none in ({}, {"Authorization": f"Basic {key}"}, {"Authorization": "Bearer"}, {"Cookie": f"key={key}"}):
            answer = client.get(f"{PRIVATE}&api_key={key}&access_token={key}&key={key}", headers=none)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.json()["message"].startswith("this needs a key, as `Authorization: Bearer KEY`")


@pytest.mark.parametrize("path", [PRIVATE, "/models"])
def test_a_key_that_is_sent_and_wrong_is_refused_also_where_none_is_needed(competition: Make, path: str) -> None:
    made = competition()
    key = make_key(made, "ada")
    with asked(made) as client:
        if path == "/models":
            assert client.get(path).status_code == 200
        for wrong in (key[:-1], f"{key[:-1]}{'0' if key[-1] != '0' else '1'}", key.upper(), WRONG, "x", "é"):
            answer = client.get(path, headers={"X-API-Key": wrong.encode("latin-1")})
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
            assert answer.json()["message"] == "this key is wrong or was revoked; ask the operator for another"


def test_before_its_first_run_a_competition_knows_no_key_and_nothing_is_made(
    competition: Make, database_url: str
) -> None:
    made = competition()
    with asked(made) as client:
        assert client.get(PRIVATE, headers=bearer(WRONG)).status_code == 401
        assert client.get("/models").json() == []
    with closing(Database(database_url, made.schema)) as database:
        assert database.read("select from pg_namespace where nspname = :name", name=made.schema) == []


def test_a_revoked_key_is_refused_at_once(competition: Make) -> None:
    made = competition()
    key, other = make_key(made, "ada"), make_key(made, "bob")
    with asked(made) as client, closing(open_store(made)) as store:
        assert client.get("/models", headers=bearer(key)).status_code == 200
        store.keys.revoke("ada")
        assert client.get("/models", headers=bearer(key)).status_code == 401
        assert client.get("/models", headers=bearer(other)).status_code == 200


def test_who_sends_too_many_wrong_keys_waits_and_nobody_else_does(
    competition: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "WRONG_KEYS", parse("3/2 seconds"))
    made = competition()
    key = make_key(made, "ada")
    with asked(made) as client:
        assert [client.get("/models", headers=bearer(WRONG)).status_code for _ in range(5)] == [401] * 3 + [429] * 2
        assert client.get("/models", headers=bearer(key)).status_code == 200, "who shares the address is not locked out"
        refused = client.get("/models", headers=bearer(WRONG))
        assert refused.json()["message"].startswith("too many wrong keys came from your address; wait ")
        assert client.get("/models").status_code == 200, "without a key all is as ever"
        time.sleep(int(refused.headers["retry-after"]))
        assert client.get("/models", headers=bearer(key)).status_code == 200


def test_a_key_has_so_many_requests_a_minute_and_another_key_its_own(
    competition: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "REQUESTS", parse("3/2 seconds"))
    made = competition()
    key, other = make_key(made, "ada"), make_key(made, "bob")
    with asked(made) as client:
        assert [client.get(PRIVATE, headers=bearer(key)).status_code for _ in range(4)] == [404] * 3 + [429]
        refused = client.get("/models", headers=bearer(key))
        assert (refused.status_code, 1 <= int(refused.headers["retry-after"]) <= 2) == (429, True)
        assert client.get("/models", headers=bearer(other)).status_code == 200
        time.sleep(int(refused.headers["retry-after"]))
        assert client.get("/models", headers=bearer(key)).status_code == 200


def test_what_a_key_is_shown_is_kept_by_no_cache(competition: Make) -> None:
    made = competition()
    key = make_key(made, "ada")
    with asked(made) as client:
        assert client.get("/models", headers=bearer(key)).headers["cache-control"] == "no-store"
        answer = client.get("/models")
    assert "cache-control" not in answer.headers
    assert answer.headers["vary"] == "Authorization, X-API-Key"


def test_pages_of_other_origins_may_read_only_where_they_are_named(competition: Make) -> None:
    origin = "https://board.example.org"
    asks = {"Origin": origin, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "x-api-key"}
    with asked(competition("a")) as client:
        assert client.options("/models", headers=asks).status_code == 405
        assert not [name for name in client.get("/models", headers=asks).headers if name.startswith("access-control")]
    with asked(competition("b", report_cors_origins=f"{origin}, http://[::1]:3000")) as client:
        allowed = client.options("/models", headers=asks)
        assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, origin)
        assert allowed.headers["access-control-allow-methods"] == "GET"
        assert "access-control-allow-credentials" not in allowed.headers
        assert client.get("/models", headers=asks).headers["access-control-allow-origin"] == origin
        other = client.options("/models", headers=asks | {"Origin": "https://example.org"})
        assert "access-control-allow-origin" not in other.headers
        assert client.options("/models", headers=asks | {"Access-Control-Request-Method": "POST"}).status_code == 400


@pytest.mark.parametrize("wrong", ["*", "https://*.example.org", "example.org", "https://example.org/", "null"])
def test_an_origin_is_named_as_browsers_send_it(competition: Make, wrong: str) -> None:
    with pytest.raises(UserErrors, match=r"REPORT_CORS_ORIGINS = .* has .*; name each origin, such as https://board"):
        competition(report_cors_origins=f"https://board.example.org,{wrong}")


def test_the_description_has_both_ways_to_send_a_key(competition: Make) -> None:
    described = create_app(competition()).openapi()
    schemes = {name: (one["type"], one["in"] if "in" in one else one["scheme"])
               for name, one in described["components"]["securitySchemes"].items()}  # fmt: skip
    assert sorted(schemes.values()) == [("apiKey", "header"), ("http", "bearer")]
    either = [{name: []} for name in schemes]
    for path, methods in described["paths"].items():
        security = sorted(methods["get"].get("security", []), key=str)
        if path.startswith("/private"):
            assert security == sorted(either, key=str), path
        elif path == "/models":
            assert security == sorted([*either, {}], key=str)
        else:
            assert security == [], path
