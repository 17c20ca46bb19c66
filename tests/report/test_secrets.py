"""No route tells anybody what is not theirs: everything there is, asked by everyone, in every way."""

import itertools
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from fastapi import FastAPI, params
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import APIRoute, iter_route_contexts
from limits import parse
from starlette.routing import Mount

from coordinator_dagster.keys import key_of
from coordinator_dagster.report import access
from coordinator_dagster.report.app import create_app
from tests.report.conftest import Make
from tests.report.serving import serving
from tests.report.two_players import (
    ANSWERED,
    FEED_KEY,
    GIVEN,
    ORDERED_BY,
    PENDING,
    SETTLED,
    UNSCORED,
    VOIDED,
    World,
    play,
)

EVERYONE = {"operator", *ANSWERED, "carl", "nobody", "wrong", "in the address"}
MODELS = [f"{player}-{name}" for player in ANSWERED for name in ("answers", "breaks")]
# With what each parameter is filled; None: it is left out. A new one has to be written here, as generous as it can be.
PATH: Mapping[str, list[str]] = {
    "model_id": [*MODELS, "no-such-model"],
    "path": ["day=2026-01-05/asset=BTC/kind=candle/simulated-1m.parquet"],
}
QUERY: Mapping[str, list[str | None]] = {
    "asset": [None],
    "at": [SETTLED, *UNSCORED.values(), VOIDED, PENDING],
    "before": [None],
    "config": [None],
    "end": ["2026-02-01T00:00Z"],
    "failed": [None],
    "granularity": ["1m"],
    "kind": ["candle"],
    "limit": ["20000", "200"],  # the most that some, and that all take
    "lines": ["10000"],
    "offset": [None],
    "projectIds": [",".join(MODELS)],
    "provider": [None],
    "scope_key": [None],
    "source": ["simulated"],
    "start": ["2026-01-01T00:00Z"],
    "subject": ["BTC"],
}


class DoesNotKnow(Exception):
    """The route has a parameter that this test cannot fill."""


def calls(app: FastAPI) -> dict[str, set[str]]:
    """Each path of the application, also those that are not in its description, with the addresses to ask it by."""
    found: dict[str, set[str]] = defaultdict(set)
    for route in iter_route_contexts(app.routes):
        if isinstance(route.original_route, Mount):  # files that are the same for every competition
            continue
        path = re.sub(r":\w+}", "}", str(route.path))  # as the description writes it
        fields = get_flat_params(route.dependant) if isinstance(route.original_route, APIRoute) else []
        query = {one.alias for one in fields if isinstance(one.field_info, params.Query)}
        names = re.findall(r"{(\w+)}", path)
        if unknown := [*(set(names) - set(PATH)), *(query - set(QUERY))]:
            raise DoesNotKnow(f"{path} has {', '.join(unknown)}: say here how it is filled")
        for values in itertools.product(*(PATH[name] for name in names)):
            filled = path
            for name, value in zip(names, values, strict=True):
                filled = filled.replace(f"{{{name}}}", quote(value))
            for chosen in itertools.product(*([(name, value) for value in QUERY[name]] for name in sorted(query))):
                asked = "&".join(f"{name}={quote(value)}" for name, value in chosen if value is not None)
                found[path].add(f"{filled}?{asked}" if asked else filled)
    return found


def seen_by(world: World) -> dict[str, set[str]]:
    """Whatever only some may see, as a pattern over what is said without the dots and commas of numbers."""
    secret: dict[str, set[str]] = {
        GIVEN: {"operator", *ANSWERED},
        ORDERED_BY: {"operator"},
        "SCORING_FUNCTION=": {"operator"},  # where it is in the operator's files
        str(world.competition.home): set(),
        FEED_KEY: set(),
    }
    for player, answered in ANSWERED.items():
        both = {"operator", player}
        secret |= {f"{player}-{what}": both for what in ("printed", "raised", "raw", "unscored")}
        secret[str(answered).replace(".", "")[:7]] = both
    return secret


def headers(world: World, who: str) -> dict[str, str]:
    if who in world.keys:
        return {"Authorization": f"Bearer {world.keys[who]}"}
    return {"X-API-Key": key_of(1, 64 * "0")} if who == "wrong" else {}


def ask(client: httpx.Client, world: World, who: str, url: str) -> Iterator[Any]:
    """Every answer that somebody gets there: a key in the address or in a cookie is none."""
    if who == "in the address":
        key = world.keys["operator"]
        url += f"{'&' if '?' in url else '?'}api_key={key}&key={key}&access_token={key}"
        client.cookies.update({"X-API-Key": key, "Authorization": f"Bearer {key}"})
    own = headers(world, who)
    answer = client.get(url, headers=own)
    yield answer
    if etag := answer.headers.get("etag"):
        yield client.get(url, headers={**own, "If-None-Match": etag})
        yield client.get(url, headers={**own, "If-None-Match": '"another"', "Range": "bytes=0-"})
    client.cookies.clear()


def test_nobody_is_told_what_is_not_theirs_by_any_route_with_any_key(
    competition: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit in ("WRONG_KEYS", "REQUESTS"):  # they have a test of their own
        monkeypatch.setattr(access, limit, parse("1000000/minute"))
    world = play(competition, tmp_path / "models")
    app = create_app(world.competition)
    routes = calls(app)
    assert app.openapi()["paths"].keys() <= routes.keys()
    assert {method for one in app.openapi()["paths"].values() for method in one} == {"get"}, "it only reads"
    secret = seen_by(world)
    seen: dict[str, set[str]] = {text: set() for text in secret}
    with serving(app) as address, httpx.Client(base_url=address, timeout=15) as client:
        for path, urls in routes.items():
            answered = set()
            for url in sorted(urls):
                # The operator first: what was made for one must not be kept for another.
                for who in ("operator", *sorted(EVERYONE - {"operator"})):
                    for answer in ask(client, world, who, url):
                        assert answer.status_code < 500, f"{who} {url}: {answer.text}"
                        said = re.sub(r"(?<=\d)[.,_\s](?=\d)", "", f"{url}\n{answer.headers}\n{answer.text}")
                        for text, allowed in secret.items():
                            if text in said:
                                assert who in allowed, f"{who} must not see {text}: {url}\n{answer.text[:2000]}"
                                seen[text].add(who)
                        answered |= {answer.status_code} if who == "operator" else set()
                    if who == "wrong" and path.startswith("/private"):
                        assert answer.status_code in (401, 405)
            assert 200 in answered, f"{path} was not asked as it should be: {answered}"
    assert seen == secret, "who may see it does see it somewhere"


def test_a_route_that_it_cannot_call_is_a_failure() -> None:
    app = FastAPI()
    app.get("/known/{model_id}")(lambda model_id: None)
    assert len(calls(app)["/known/{model_id}"]) == len(PATH["model_id"])
    app.get("/hidden/{another}", include_in_schema=False)(lambda another: None)
    with pytest.raises(DoesNotKnow, match=r"/hidden/{another} has another"):
        calls(app)
    app = FastAPI()

    @app.get("/known")
    def known(another: str = "") -> None: ...

    with pytest.raises(DoesNotKnow, match="/known has another"):
        calls(app)
