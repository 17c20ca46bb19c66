"""Where a slot's path comes from: environment, .local.env, config/callables.env, spec.json, pack."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from coordinator_dagster.competition import read_competition
from coordinator_dagster.errors import UserErrors
from coordinator_dagster.overrides import read_overrides, slot_paths
from slots.contracts import CONTRACTS

SLOT = "SCORING_FUNCTION"


def in_environment(home: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv(SLOT, "from:environment")


def in_local_env(home: Path, patch: pytest.MonkeyPatch) -> None:
    (home / ".local.env").write_text(f"{SLOT}=from:local_env\n")


def in_callables(home: Path, patch: pytest.MonkeyPatch) -> None:
    (home / "config").mkdir()
    (home / "config" / "callables.env").write_text(f"# ours\n{SLOT}=from:callables\nLEADERBOARD_RANKER=\n")


def in_spec(home: Path, patch: pytest.MonkeyPatch) -> None:
    (home / "spec.json").write_text(json.dumps({"callables": {SLOT: "from:spec"}}))


PLACES: list[tuple[Callable[[Path, pytest.MonkeyPatch], None], str, str]] = [
    (in_environment, "from:environment", "environment"),
    (in_local_env, "from:local_env", ".local.env"),
    (in_callables, "from:callables", "config/callables.env"),
    (in_spec, "from:spec", "spec.json"),
]


@pytest.mark.parametrize("strongest", range(len(PLACES) + 1))
def test_the_stronger_source_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strongest: int) -> None:
    for write, _, _ in PLACES[strongest:]:
        write(tmp_path, monkeypatch)
    _, path, source = [*PLACES, (None, "slots.defaults:score_prediction", "pack baseline")][strongest]
    found = read_competition(tmp_path).slot_paths
    assert str(found[SLOT]) == f"{SLOT}={path} (from {source})"
    assert {found[name].source for name in CONTRACTS if name != SLOT} == {"pack baseline"}


def test_slots_are_looked_up_in_the_home_they_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_callables(tmp_path, monkeypatch)
    callables = dict.fromkeys(CONTRACTS, "a:b")

    def path(home: Path) -> str:
        return slot_paths(home, read_overrides(home), "p", callables)[SLOT].path

    assert path(tmp_path) == "from:callables"
    assert path(tmp_path / "elsewhere") == "a:b"


def test_an_empty_value_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_spec(tmp_path, monkeypatch)
    monkeypatch.setenv(SLOT, "")
    assert read_competition(tmp_path).slot_paths[SLOT].path == "from:spec"


def test_unknown_names_in_callables_env_are_refused_all_at_once(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    file = tmp_path / "config" / "callables.env"
    file.write_text("SCORING_FUNTION=mine:score\nPACK=realtime\n")
    with pytest.raises(UserErrors) as caught:
        read_competition(tmp_path)
    pack, scoring = caught.value.faults
    assert scoring.startswith(f"{file}: SCORING_FUNTION=mine:score: ")
    assert "did you mean SCORING_FUNCTION?); rename or remove it; the slots are RAW_INPUT_PROVIDER," in scoring
    assert pack.startswith(f"{file}: PACK=realtime: PACK is no slot; rename or remove it")


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        (
            '{"callables": {"SCORING_FUNTION": "a:b"}}',
            r"callables.SCORING_FUNTION = 'a:b': no slot \(did you mean SCOR",
        ),
        ('{"callables": {"SCORING_FUNCTION": 3}}', "callables.SCORING_FUNCTION = 3: Input should be a valid string"),
        ('{"callables": ["a:b"]}', r"callables = \['a:b'\]: Input should be a valid dictionary"),
        (
            '{"series": []}',
            r"spec.json: \['series'\]: must be an object with callables or scheduled_prediction_configs",
        ),
        ("[]", r"spec.json: must be an object, found list; mend it"),
        ("{'callables': {}}", "spec.json: not JSON: .*line 1 column 2.*; mend the file"),
    ],
)
def test_a_faulty_spec_is_refused(tmp_path: Path, spec: str, fault: str) -> None:
    (tmp_path / "spec.json").write_text(spec)
    with pytest.raises(UserErrors, match=fault) as caught:
        read_competition(tmp_path)
    assert "spec.json" in str(caught.value)


CONFIG = {
    "id": "btc-900s",
    "scope_key": "BTC-900s",
    "scope_template": {"asset": "BTC", "horizon_seconds": 900, "step_seconds": 900},
    "schedule": {"every_seconds": 900},
}


def test_a_folder_s_own_pack_needs_neither_slots_nor_schedule_of_its_own(tmp_path: Path) -> None:
    """A generated node has each in a file of its own."""
    (tmp_path / "config").mkdir()
    pack = json.loads((Path(__file__).parents[2] / "packs" / "baseline.json").read_text())
    callables = pack.pop("callables")
    del pack["scheduled_prediction_configs"]
    (tmp_path / "config" / "pack.json").write_text(json.dumps(pack))
    (tmp_path / ".local.env").write_text("PACK=config/pack.json\n")
    with pytest.raises(UserErrors, match=r"scheduled_prediction_configs: missing; add it"):
        read_competition(tmp_path)
    (tmp_path / "config" / "callables.env").write_text("".join(f"{name}={at}\n" for name, at in callables.items()))
    (tmp_path / "config" / "scheduled_prediction_configs.json").write_text(json.dumps([CONFIG]))
    (tmp_path / "spec.json").write_text(json.dumps({"callables": {SLOT: "a:b"}, "scheduled_prediction_configs": []}))
    found = read_competition(tmp_path)
    assert [config.id for config in found.pack.configs] == ["btc-900s"], "config/ is stronger than spec.json"
    assert {one.source for one in found.slot_paths.values()} == {"config/callables.env"}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{}", "must be a list, found dict; mend it"),
        ("[", "not JSON: .*; mend the file"),
        ("[{}]", r"scheduled_prediction_configs.0.id: missing; add it"),
    ],
)
def test_a_faulty_schedule_file_is_refused_by_its_name(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "scheduled_prediction_configs.json").write_text(text)
    with pytest.raises(UserErrors, match=fault) as caught:
        read_competition(tmp_path)
    assert "config/scheduled_prediction_configs.json" in str(caught.value)
