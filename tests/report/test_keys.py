"""`coordinator keys …`: a key is shown once, and nothing of it is kept but a hash."""

import hashlib
import logging
import re
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any

import pytest

from coordinator_dagster.competition import Competition
from coordinator_dagster.store.store import open_as_it_stands
from tests.cli.conftest import type_in  # noqa: F401
from tests.report.conftest import Make

Typed = Callable[..., tuple[int, str, str]]


@pytest.fixture
def typed(type_in: Typed) -> Typed:  # noqa: F811
    """Types `coordinator keys …`; exit code, output, errors."""
    return partial(type_in, "keys")


def rows(made: Competition, sql: str) -> list[dict[str, Any]]:
    with closing(open_as_it_stands(made)) as store:
        return [dict(row._mapping) for row in store.database.read(sql)]


def test_a_key_is_alone_on_the_output_once_and_only_its_hash_is_kept(
    competition: Make, typed: Typed, caplog: pytest.LogCaptureFixture
) -> None:
    made = competition()
    caplog.set_level(logging.DEBUG)
    code, out, err = typed("create", "ops", "--role", "operator")
    assert (code, out.count("\n")) == (0, 1)
    key = out.strip()
    found = re.fullmatch(r"crunch_1_([0-9a-f]{64})", key)
    assert found, "256 bits"
    secret, hashed = found[1], hashlib.sha256(found[1].encode()).digest()
    assert "shown this once" in err

    (row,) = rows(made, "select * from api_keys")
    assert bytes(row.pop("key_hash")) == hashed
    assert (row["name"], row["role"], row["player_id"], row["revoked_at"]) == ("ops", "operator", None, None)
    (whole,) = rows(made, "select query_to_xml('select * from api_keys', true, false, '')::text as everything")
    said = [err, *typed("list")[1:], caplog.text, str(row), whole["everything"]]
    for hidden in (key, secret, secret[:12]):
        assert not [text for text in said if hidden in text]
    assert not [text for text in said[:-1] if hashed.hex() in text or str(hashed) in text]
    another = typed("create", "ops-2", "--role", "operator")[1].strip()
    assert another.split("_")[2] != secret


def test_the_list_says_whose_each_key_is_and_when_it_was_revoked(competition: Make, typed: Typed) -> None:
    competition()
    typed("create", "ops", "--role", "operator")
    typed("create", "adas laptop", "--role", "participant", "--player", "ada")
    code, out, err = typed("revoke", "ops")
    assert (code, out.strip(), err) == (0, "revoked ops", "")
    assert typed("revoke", "ops")[0] == 0, "it is what it was"
    header, *lines = [re.split(r"\s{2,}", line.strip()) for line in typed("list")[1].splitlines() if line.strip()]
    assert header == ["key", "role", "player", "created", "revoked"]
    of = {line[0]: line[1:] for line in lines}
    assert of["adas laptop"][:2] == ["participant", "ada"]
    assert len(of["adas laptop"]) == 3, "not revoked"
    assert (of["ops"][0], len(of["ops"])) == ("operator", 3)


def test_a_player_without_a_model_yet_is_a_warning(competition: Make, typed: Typed) -> None:
    competition()
    code, out, err = typed("create", "adas", "--role", "participant", "--player", "ada")
    assert (code, out[:7]) == (0, "crunch_")
    assert "warning: --player=ada: no model of that player has been asked yet" in err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["create", "ops", "--role", "operator"], "NAME=ops: there is, or was, a key of that name; choose another"),
        (["create", "a", "--role", "participant"], "--player: a participant's key is of one player; add --player"),
        (["create", "a", "--role", "operator", "--player", "ada"], "--player=ada: an operator's key is of no player"),
        (["create", "a", "--role", "operater"], "--role=operater: there is no such role (did you mean operator?); use"),
        (["create", "", "--role", "operator"], "option: name"),
        (["create", "a\x1b[31m", "--role", "operator"], "option: name"),
        (["revoke", "opps"], "NAME=opps: there is no such key (did you mean ops?); see"),
        (["revoke", "a\udcff"], "NAME=a\\udcff: there is no such key"),
    ],
)
def test_what_does_not_fit_is_one_error(competition: Make, typed: Typed, arguments: list[str], told: str) -> None:
    made = competition()
    typed("create", "ops", "--role", "operator")
    code, out, err = typed(*arguments)
    (line,) = err.strip().splitlines()
    assert code == 1
    assert out == ""
    assert line.startswith(f"error: {told}"), line
    assert len(rows(made, "select from api_keys where revoked_at is null")) == 1
