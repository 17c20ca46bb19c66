"""Bad answers end with one clear line, and nothing is written; good ones, from wherever, make a workspace."""

import json
import subprocess
import sys
from pathlib import Path

import copier
import pytest
import yaml
from copier.errors import UserMessageError

from slots.contracts import SLOT_NAMES
from tests.template.generating import PROJECT, generate

GOOD = {"name": "btc-vol"}


def typed(template: Path | str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """`copier copy`, as an operator types it."""
    program = Path(sys.executable).with_name("copier")
    command = [program, "copy", "--quiet", "--defaults", *options, str(template), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({}, 'name = "": must be a slug'),
        ({"name": ""}, 'name = "": must be a slug'),
        ({"name": "BtcVol"}, 'name = "BtcVol": must be a slug: a lower-case letter, then'),
        ({"name": "btc vol"}, 'name = "btc vol": must be a slug'),
        ({"name": "btc--vol"}, "must be a slug"),
        ({"name": "1btc"}, "must be a slug"),
        ({"name": "../btc"}, "must be a slug"),
        ({"name": "btc{{ 1 }}"}, "must be a slug"),
        ({"name": "btc\nvol"}, "must be a slug"),
        ({"name": "a" * 41}, "has 41 characters; at most 40"),
        ({"name": "dagster"}, 'name = "dagster": is reserved; choose another one'),
        ({"name": "public"}, "is reserved"),
        ({"name": "pg-x"}, "is reserved"),
        (GOOD | {"title": 'a"b'}, "must be a line of at most 80 characters, without quotes"),
        (GOOD | {"title": "a\nb"}, "must be a line"),
        (GOOD | {"title": " "}, "must be a line"),
        (GOOD | {"title": "{{ 1 }}"}, "must be a line"),
        (GOOD | {"pack": "basline"}, 'pack = "basline": unknown; choose one of baseline, realtime, tournament'),
        (GOOD | {"feed": "nyse"}, 'feed = "nyse": unknown; choose one of binance, pyth, simulated'),
        (GOOD | {"assets": "btc"}, 'assets = "btc": must be one or more symbols in capitals'),
        (GOOD | {"assets": ""}, "must be one or more symbols"),
        (GOOD | {"assets": "BTC,BTC"}, "names one twice"),
        (GOOD | {"assets": "BTCUSDT"}, "has a pair; name the asset alone"),
        (GOOD | {"start": "tomorrow"}, 'start = "tomorrow": must be a full hour in UTC, such as 2026-01-05T00:00Z'),
        (GOOD | {"start": "2026-01-05T00:30Z"}, "must be a full hour"),
        (GOOD | {"spec": '{"callables": {"SCORING_FUNCTION": "a:b",}}'}, "not JSON; mend the file"),
        (GOOD | {"spec": "{"}, "spec = {: not JSON"),
        (GOOD | {"spec": "[]"}, "spec: must be an object with callables or scheduled_prediction_configs"),
        (GOOD | {"spec": {"series": []}}, "spec.series: must be callables or scheduled_prediction_configs"),
        (GOOD | {"spec": {"callables": {"SCORING": "a:b"}}}, "spec.callables.SCORING: no slot; the slots are RAW_"),
        (GOOD | {"spec": {"callables": {"SCORING_FUNCTION": "a.b"}}}, '"a.b": must be module:function'),
        (GOOD | {"spec": {"callables": []}}, "spec.callables: must be an object of slots"),
        (GOOD | {"spec": {"scheduled_prediction_configs": {}}}, "must be a list of configs"),
        (
            GOOD | {"spec": {"scheduled_prediction_configs": [{"id": "a", "scope_key": "A", "schedule": {}}]}},
            "spec.scheduled_prediction_configs[0].scope_template: missing; add it",
        ),
    ],
)
def test_a_bad_answer_is_a_line_for_people_and_nothing_is_written(
    plain_template: Path, tmp_path: Path, answers: dict[str, object], said: str
) -> None:
    with pytest.raises(UserMessageError) as caught:  # what copier shows as it is
        copier.run_copy(str(plain_template), tmp_path / "new", data=answers, defaults=True, quiet=True)
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [[], ["-d", "name=BtcVol"], ["-d", "name=btc-vol", "-d", "spec={"]])
def test_copier_itself_ends_with_one_line(template: Path, tmp_path: Path, options: list[str]) -> None:
    done = typed(template, tmp_path / "new", *options)
    assert done.returncode == 1 and len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_all_faults_are_told_at_once(plain_template: Path, tmp_path: Path) -> None:
    bad = {"name": "No", "pack": "none", "feed": "none", "assets": "x", "start": "now", "spec": "{"}
    with pytest.raises(UserMessageError) as caught:
        copier.run_copy(str(plain_template), tmp_path / "new", data=bad, defaults=True, quiet=True)
    for question in bad:
        assert f"{question} = " in str(caught.value)


def test_a_folder_with_files_is_left_alone(template: Path, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "mine.txt").write_text("mine")
    done = typed(template, tmp_path / "old", "-d", "name=btc-vol")
    assert done.returncode == 1 and "old: exists already, with files in it; give a new folder" in done.stderr
    assert [path.name for path in (tmp_path / "old").iterdir()] == ["mine.txt"]


def test_from_a_git_url_and_a_tag(template: Path, tmp_path: Path) -> None:
    done = typed(f"git+file://{template}", tmp_path / "new", "--vcs-ref", "v0.1.0", "-d", "name=btc-vol")
    assert done.returncode == 0, done.stderr
    answers = yaml.safe_load((tmp_path / "new" / "crunch-btc-vol" / ".copier-answers.yml").read_text())
    assert answers["_commit"] == "v0.1.0" and answers["_src_path"].endswith(f"file://{template}")


def test_answers_from_a_file(template: Path, tmp_path: Path) -> None:
    spec = {"callables": {"SCORING_FUNCTION": "crunch_btc_vol.mine:score"}}
    (tmp_path / "answers.yml").write_text(yaml.safe_dump({"name": "btc-vol", "pack": "tournament", "spec": spec}))
    assert typed(template, tmp_path / "new", "--data-file", str(tmp_path / "answers.yml")).returncode == 0
    text = (tmp_path / "new" / "crunch-node-btc-vol" / "config" / "callables.env").read_text()
    assert "SCORING_FUNCTION=crunch_btc_vol.mine:score" in text
    log = json.loads((tmp_path / "new" / "process-log.jsonl").read_text())
    assert log["answers"]["pack"] == "tournament" and log["answers"]["spec"] == spec
    assert log["event"] == "generated" and log["version"] and log["at"].endswith("Z")


def test_json_with_every_kind_of_value_is_json(template: Path, tmp_path: Path) -> None:
    scope = {
        "asset": "BTC",
        "horizon_seconds": 60,
        "step_seconds": 60,
        "x": [1, -2.5, 1e5, True, None, {"a\\b": '"q"}'}, []],
    }
    config = {"id": "a", "scope_key": "A {", "scope_template": scope, "schedule": {"prediction_interval_seconds": 60}}
    spec = json.dumps({"scheduled_prediction_configs": [config]}, indent="\t")
    _, node = generate(template, tmp_path / "new", spec=spec)
    (found,) = json.loads((node / "config" / "scheduled_prediction_configs.json").read_text())
    assert found["scope_template"] == scope and found["schedule"] == {"every_seconds": 60}


def test_the_template_knows_every_pack_and_every_slot() -> None:
    text = (PROJECT / "copier_template" / "answers.jinja").read_text()
    for path in (PROJECT / "packs").glob("*.json"):
        assert f"'{path.stem}'" in text
    places = (PROJECT / "copier_template" / "contest.jinja").read_text()
    assert all(f"'{name}':" in places for name in SLOT_NAMES if name != "SCORING_FUNCTION")


def test_what_is_the_operator_s_own_is_skipped_and_never_made_again() -> None:
    settings = yaml.safe_load((PROJECT / "copier.yml").read_text())
    own = ["{% if _copier_operation == 'update' %}" + one + "{% endif %}" for one in settings["_skip_if_exists"]]
    assert settings["_exclude"][: len(own)] == own
