"""What a node publishes: the contract, without the slots that are its own."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from coordinator_dagster.cli import app
from coordinator_dagster.competition import Competition, read_competition
from coordinator_dagster.contest import contest_of, read_contest
from coordinator_dagster.contest_files import contest_files, unpublished
from coordinator_dagster.errors import UserError, UserErrors

PUBLIC = """
def score_prediction(prediction, ground_truth):
    return {"value": 0.0, "success": True, "failed_reason": None}
"""
OWN = """
from functools import partial

from crunch_contest_test.scoring import score_prediction as score_prediction
from slots.defaults import build_input as build_input
from slots.defaults import rank_leaderboard


def validate_output(inference_output):
    return inference_output


wrapped = partial(rank_leaderboard)
"""
CALLABLES = """
SCORING_FUNCTION=own_contest_slots:score_prediction
INFERENCE_INPUT_BUILDER=own_contest_slots:build_input
INFERENCE_OUTPUT_VALIDATOR=own_contest_slots:validate_output
LEADERBOARD_RANKER=own_contest_slots:wrapped
"""


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A node's folder and the participants' repo beside it."""
    package, node = tmp_path / "public" / "crunch_contest_test", tmp_path / "node"
    package.mkdir(parents=True)
    (node / "config").mkdir(parents=True)
    (package / "__init__.py").write_text("from crunch_contest_test.tracker import TrackerBase as TrackerBase\n")
    (package / "tracker.py").write_text("from slots.tracker import TrackerBase as TrackerBase\n")
    (package / "scoring.py").write_text(PUBLIC)
    (node / "own_contest_slots.py").write_text(OWN)
    (node / "config" / "callables.env").write_text(CALLABLES)
    (node / ".local.env").write_text(
        "COMPETITION=a\nCOMPETITION_START=2026-01-05T00:00Z\nPUBLIC_REPO=../public\n"
        "MODEL_BASE_CLASSNAME=crunch_contest_test.tracker.TrackerBase\nREPORT_URL=https://example.org\n"
    )
    monkeypatch.setenv("COORDINATOR_HOME", str(node))
    yield node
    for folder in (node, tmp_path / "public"):
        if str(folder) in sys.path:
            sys.path.remove(str(folder))
    for name in [one for one in sys.modules if one.startswith(("crunch_contest_test", "own_contest_slots"))]:
        del sys.modules[name]


def test_a_slot_is_public_where_participants_find_it_by_way_of_any_re_export(node: Path) -> None:
    contest = contest_of(read_competition(node))
    assert contest.private == {"INFERENCE_OUTPUT_VALIDATOR", "LEADERBOARD_RANKER"}
    assert contest.slots["SCORING_FUNCTION"] == "crunch_contest_test.scoring:score_prediction"
    assert contest.slots["INFERENCE_INPUT_BUILDER"] == "slots.defaults:build_input"
    assert contest.slots["GROUND_TRUTH_RESOLVER"] == "slots.defaults:resolve_ground_truth"
    assert "own_contest_slots" not in contest.model_dump_json()


def test_the_contest_read_back_has_the_node_s_rules(node: Path, tmp_path: Path) -> None:
    made = read_competition(node)
    for place, text in contest_files(made).items():
        place.parent.mkdir(exist_ok=True)
        place.write_text(text)
    contest = read_contest(tmp_path / "public" / "crunch_contest_test" / "contest.json")
    found = contest.competition(tmp_path)
    assert rules(found) == rules(made)
    assert found.start == made.start and contest.report_url == "https://example.org"
    assert found.settings.model_base_classname == made.settings.model_base_classname
    assert {path.source for path in found.slot_paths.values()} == {"contest.json"}


def rules(competition: Competition) -> dict[str, object]:
    return competition.pack.model_dump(exclude={"callables"})


def test_the_environment_does_not_change_a_contest(node: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contest = contest_of(read_competition(node))
    monkeypatch.setenv("FEED_CANDLES_WINDOW", "7")
    monkeypatch.setenv("COMPETITION", "other")
    settings = contest.competition(tmp_path).settings
    assert settings.feed_candles_window == 120 and settings.competition == "a"


def test_what_is_published_is_checked_and_written(node: Path, tmp_path: Path) -> None:
    made = read_competition(node)
    assert len(unpublished(made)) == 4, "contest and three schemas are missing"
    assert CliRunner().invoke(app, ["contest", "--check"]).exit_code == 1
    assert list((tmp_path / "public").glob("schemas/*")) == [], "--check writes nothing"
    done = CliRunner().invoke(app, ["contest"])
    assert done.exit_code == 0, done.output
    assert "private, so left out of backtests: LEADERBOARD_RANKER=own_contest_slots:wrapped" in done.output
    assert unpublished(read_competition(node)) == []
    changed = node / ".local.env"
    changed.write_text(changed.read_text() + "FEED_CANDLES_WINDOW=60\n")
    (fault,) = unpublished(read_competition(node))
    assert fault.endswith("contest.json: is not what this node does; run `coordinator contest` to publish it")


def test_a_contest_whose_slots_do_not_work_is_not_published(node: Path, tmp_path: Path) -> None:
    (node / "own_contest_slots.py").write_text(
        OWN.replace("return inference_output", 'return {"q": inference_output["q"]}')
    )
    done = CliRunner().invoke(app, ["contest"])
    assert done.exit_code == 1
    assert "KeyError: 'q'" in str(done.exception) and "example_output" in str(done.exception)
    assert not (tmp_path / "public" / "schemas").exists()


def test_the_schemas_say_what_models_get_and_return(node: Path) -> None:
    files = {path.name: json.loads(text) for path, text in contest_files(read_competition(node)).items()}
    assert files["input.schema.json"]["properties"]["candles_1m"]["items"]["required"] == [
        *("close", "high", "low", "open", "ts", "volume")
    ]
    assert files["output.schema.json"]["properties"] == {"value": {"type": "number"}}
    assert files["call.schema.json"]["examples"] == [{"args": ["BTC", 60, 60], "kwargs": {}}]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("PUBLIC_REPO=\n", "PUBLIC_REPO is not set; set it to the participants' repo"),
        ("MODEL_BASE_CLASSNAME=slots.tracker.TrackerBase\n", "it has no folder slots, which MODEL_BASE_CLASSNAME="),
    ],
)
def test_without_a_repo_it_says_what_to_set(node: Path, line: str, said: str) -> None:
    file = node / ".local.env"
    file.write_text(file.read_text() + line)
    with pytest.raises(UserError, match=said):
        contest_files(read_competition(node))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ("{}", "name: missing; add it"),
        (None, "cannot be read"),
    ],
)
def test_a_contest_that_is_none_is_refused(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "contest.json").write_text(text)
    with pytest.raises(UserError, match=said) as caught:
        read_contest(tmp_path / "contest.json")
    assert "contest.json" in str(caught.value)


def test_rules_that_are_none_are_refused_by_their_place(node: Path, tmp_path: Path) -> None:
    contest = contest_of(read_competition(node))
    spoiled = contest.model_copy(update={"rules": {**contest.rules, "min_coverage": 2}})
    with pytest.raises(UserErrors, match=r"contest.json: rules: min_coverage"):
        spoiled.competition(tmp_path)
