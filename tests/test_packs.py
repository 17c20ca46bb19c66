"""A pack says what it says: the three that come along, and every way to get one wrong."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from coordinator_dagster.competition import read_competition
from coordinator_dagster.errors import UserErrors
from coordinator_dagster.packs import available_packs, read_pack
from slots.contracts import SLOT_NAMES

Content = dict[str, Any]
SCORER = "SCORING_FUNCTION"


def baseline() -> Content:
    return json.loads(available_packs()["baseline"].read_text())


def with_config(**changes: Any) -> Content:
    content = baseline()
    content["scheduled_prediction_configs"][0] |= changes
    return content


@pytest.fixture
def faults(tmp_path: Path) -> Callable[[Content | str], list[str]]:
    """The faults of a pack with that content; each begins with the file's name, which is cut off."""
    path = tmp_path / "mine.json"

    def read(content: Content | str) -> list[str]:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        with pytest.raises(UserErrors) as caught:
            read_pack(str(path))
        assert all(fault.startswith(f"{path}: ") for fault in caught.value.faults), caught.value.faults
        return [fault.removeprefix(f"{path}: ") for fault in caught.value.faults]

    return read


@pytest.mark.parametrize(
    ("name", "checkpoint", "configs"),
    [
        ("baseline", 60, {"btc-60s": (60, 60, 60)}),
        ("realtime", 15, {"btc-60s-every-15s": (15, 60, 15)}),
        ("tournament", 60, {"btc-in-sample": (300, 300, 60), "btc-out-of-sample": (900, 900, 300)}),
    ],
)
def test_the_packs_that_come_along(name: str, checkpoint: int, configs: dict[str, tuple[int, ...]]) -> None:
    pack = read_pack(name)
    assert (pack.id, pack.checkpoint_interval_seconds) == (name, checkpoint)
    assert list(pack.callables) == list(SLOT_NAMES)
    assert configs == {
        one.id: (one.schedule.every_seconds, one.horizon.total_seconds(), one.scope_template["step_seconds"])
        for one in pack.configs
    }
    assert (pack.missing.rule, pack.missing.percentile, pack.score_direction) == ("percentile", 90, "desc")
    assert (pack.worst_score, pack.min_coverage, pack.min_cycles, pack.look_back_hours) == (-500, 0.5, 30, 168)
    assert pack.input_wait == timedelta(seconds=1)
    shortest = min(one.horizon for one in pack.configs)
    assert all(pack.deadline(one) == min(one.every / 2, shortest / 10) for one in pack.configs)


def test_there_are_three() -> None:
    assert list(available_packs()) == ["baseline", "realtime", "tournament"]
    assert [one.kind for one in read_pack("realtime").series] == ["tick", "candle"], "the first gives the truth"


NAN, INF = float("nan"), float("inf")
SPEC = {"asset": "BTC", "kind": "candle", "granularity": "1m"}
FIRST = "scheduled_prediction_configs.0"


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (
            with_config(scope_template={"asset": "ETH", "horizon_seconds": 60}),
            f"{FIRST}.scope_template.asset = 'ETH': has no series: add one to the pack's, or give the config",
        ),
        (baseline() | {"serie": 1}, "serie = 1: unknown field (did you mean series?); rename or remove it"),
        (with_config(activ=True), f"{FIRST}.activ = True: unknown field (did you mean active?); rename or remove it"),
        (
            with_config(schedule={"every_seconds": 60, "resolve_after": 60}),
            f"{FIRST}.schedule.resolve_after = 60: unknown field (did you mean resolve_after_seconds?); rename or",
        ),
        (
            baseline() | {"missing": {"percentil": 90}},
            "missing.percentil = 90: unknown field (did you mean percentile?); rename or remove it",
        ),
        (baseline() | {"worst_score": True}, "worst_score = True: Input should be a valid number"),
        (baseline() | {"min_coverage": "0.5"}, "min_coverage = '0.5': Input should be a valid number"),
        (baseline() | {"min_coverage": 1.5}, "min_coverage = 1.5: Input should be less than or equal to 1"),
        (baseline() | {"min_cycles": True}, "min_cycles = True: Input should be a valid integer"),
        (
            baseline() | {"checkpoint_interval_seconds": "60"},
            "checkpoint_interval_seconds = '60': Input should be a valid integer",
        ),
        (baseline() | {"description": None}, "description = None: Input should be a valid string"),
        (baseline() | {"score_direction": "up"}, "score_direction = 'up': Input should be 'asc' or 'desc'"),
        (baseline() | {"worst_score": NAN}, "worst_score = nan: not a finite number; write one"),
        (baseline() | {"input_wait_seconds": INF}, "input_wait_seconds = inf: not a finite number; write one"),
        (baseline() | {"example_output": [NAN]}, "example_output = [nan]: it[0] is nan, not a finite number; write"),
        (with_config(meta={"a": NAN}), f"{FIRST}.meta: it.a is nan, not a finite number; write a finite number"),
        (with_config(active="yes"), f"{FIRST}.active = 'yes': Input should be a valid boolean"),
        (with_config(id="BTC 60"), f"{FIRST}.id = 'BTC 60': String should match pattern"),
        (with_config(schedule={"every_seconds": 0}), f"{FIRST}.schedule.every_seconds = 0: Input should be greater"),
        (with_config(schedule={"every_seconds": 1.5}), f"{FIRST}.schedule.every_seconds = 1.5: Input should be a val"),
        (with_config(schedule={}), f"{FIRST}.schedule.every_seconds: missing; add it"),
        (with_config(scope_template={}), f"{FIRST}: no horizon (found None): give scope_template.horizon_seconds or"),
        (with_config(scope_template={"horizon_seconds": True}), f"{FIRST}: no horizon (found True): give scope_temp"),
        (
            with_config(scope_template={"horizon_seconds": 10**15}),
            f"{FIRST}: no horizon (found 1000000000000000): give",
        ),
        (with_config(series=[SPEC | {"granularity": "1x"}]), f"{FIRST}.series.0.granularity = '1x': granularity '1x'"),
        (with_config(series=[SPEC | {"asset": "ETH"}]), f"{FIRST}.series.0 = 'ETH/candle/1m': not among the pack's s"),
        (
            baseline() | {"series": [SPEC | {"granularity": "5m"}]},
            f"{FIRST}.series = 'granularity 5m': longer than the horizon of 60 s; use a finer series or a longer",
        ),
        (
            baseline() | {"answer_deadline": 6.5},
            f"{FIRST}: answer_deadline = 6.5 is more than a tenth of the horizon of 60 s; set at most 6",
        ),
        (with_config(active=False), "scheduled_prediction_configs = "),
        (baseline() | {"scheduled_prediction_configs": []}, "scheduled_prediction_configs = []: List should have at l"),
        (
            baseline() | {"scheduled_prediction_configs": baseline()["scheduled_prediction_configs"] * 2},
            "scheduled_prediction_configs.1.id = 'btc-60s': used twice; give each config an id of its own",
        ),
        (
            baseline() | {"callables": {k: v for k, v in baseline()["callables"].items() if k != SCORER}},
            f"callables.{SCORER}: missing; give module:function",
        ),
        (baseline() | {"callables": baseline()["callables"] | {SCORER: ""}}, f"callables.{SCORER} = '': missing; give"),
        (
            baseline() | {"callables": baseline()["callables"] | {"SCORING_FUNTION": "a:b"}},
            f"callables.SCORING_FUNTION = 'a:b': no slot (did you mean {SCORER}?); rename or remove it",
        ),
        (baseline() | {"callables": []}, "callables = []: Input should be a valid dictionary"),
        ("[1]", "must be a JSON object, found list"),
        ('{"id": "x",}', "not JSON: "),
        ("", "not JSON: Expecting value: line 1 column 1 (char 0); mend the file"),
    ],
)
def test_a_fault_names_field_value_and_remedy(
    faults: Callable[[Content | str], list[str]], content: Content | str, fault: str
) -> None:
    (found,) = faults(content)
    assert found.startswith(fault)


def test_all_faults_are_reported_at_once(faults: Callable[[Content | str], list[str]]) -> None:
    content = with_config(order="first") | {"min_cycles": -1, "answer_deadline": 60, "colour": "red"}
    content["callables"] = {SCORER: "a:b", "SCORER": "a:b"}
    content["scheduled_prediction_configs"] += with_config(id="two")["scheduled_prediction_configs"]
    del content["description"]
    fields = [fault.split(":")[0].split(" = ")[0] for fault in faults(content)]
    assert sorted(fields) == sorted(
        [
            "description",
            "callables.SCORER",
            *(f"callables.{name}" for name in SLOT_NAMES if name != SCORER),
            f"{FIRST}.order",
            "scheduled_prediction_configs.1",
            "min_cycles",
            "colour",
        ]
    )


def test_a_deadline_of_a_tenth_of_the_horizon_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(baseline() | {"answer_deadline": 6}))
    pack = read_pack(str(path))
    assert pack.deadline(pack.configs[0]) == timedelta(seconds=6)


@pytest.mark.parametrize(("name", "near"), [("base-line", "baseline"), ("tournement", "tournament")])
def test_an_unknown_pack_has_a_nearest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, near: str) -> None:
    monkeypatch.setenv("PACK", name)
    with pytest.raises(UserErrors, match=rf"PACK={name}: no such pack \(did you mean {near}\?\); known: baseline, rea"):
        read_competition(tmp_path)


def test_the_originals_name_of_the_cadence_is_an_alias(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(with_config(schedule={"prediction_interval_seconds": 30, "resolve_after_seconds": 120})))
    (config,) = read_pack(str(path)).configs
    assert (config.every, config.horizon) == (timedelta(seconds=30), timedelta(seconds=120))
    assert config.as_slot_config()["schedule"] == {"every_seconds": 30, "resolve_after_seconds": 120}
    assert set(config.as_slot_config()) == {"id", "scope_key", "scope_template", "schedule", "active", "order", "meta"}


@pytest.mark.parametrize("name", available_packs())
def test_one_setting_switches_the_pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("PACK", name)
    competition = read_competition(tmp_path)
    assert competition.pack == read_pack(name)
    assert {path.source for path in competition.slot_paths.values()} == {f"pack {name}"}


def test_a_packs_file_is_found_from_the_competitions_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.json").write_text(json.dumps(baseline() | {"id": "mine"}))
    monkeypatch.setenv("PACK", "mine.json")
    assert read_competition(tmp_path).pack.id == "mine"


def test_spec_json_replaces_configs_and_adds_callables(tmp_path: Path) -> None:
    configs = with_config(id="eth", scope_template={"asset": "BTC", "horizon_seconds": 600})
    spec = {key: configs[key] for key in ("scheduled_prediction_configs",)} | {"callables": {SCORER: "mine:score"}}
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    pack = read_competition(tmp_path).pack
    assert [(one.id, one.horizon) for one in pack.configs] == [("eth", timedelta(minutes=10))]
    assert pack.callables == read_pack("baseline").callables | {SCORER: "mine:score"}


def test_inactive_configs_are_not_asked_and_the_rest_goes_by_order(tmp_path: Path) -> None:
    (one,) = baseline()["scheduled_prediction_configs"]
    configs = [
        one | {"id": name, "order": order, "active": name != "b"}
        for name, order in zip("abcd", (2, 0, 1, 1), strict=True)
    ]
    (tmp_path / "spec.json").write_text(json.dumps({"scheduled_prediction_configs": configs}))
    assert [config.id for config in read_competition(tmp_path).pack.configs] == ["c", "d", "a"]
