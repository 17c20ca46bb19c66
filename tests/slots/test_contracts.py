"""The ten contracts, their defaults, and the dry run that every slot goes through."""

import doctest
import importlib
import json
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from coordinator_dagster.competition import read_competition
from coordinator_dagster.dry_run import dry_run
from coordinator_dagster.packs import available_packs
from slots import contracts
from slots.contracts import CONTRACTS, SLOT_NAMES
from slots.defaults import provide_raw_input
from slots.market import Series, history_record, utc
from slots.tape import MemorySource, Tape

BAD_RETURNS = {
    "RAW_INPUT_PROVIDER": "[]",
    "INFERENCE_INPUT_BUILDER": "{'price': float('nan')}",
    "PREDICTION_SCOPE_BUILDER": "{'scope_key': 3, 'scope': {}}",
    "PREDICT_CALL_BUILDER": "{'args': ()}",
    "INFERENCE_OUTPUT_VALIDATOR": "{'value': {1, 2}}",
    "GROUND_TRUTH_RESOLVER": "None",
    "SCORING_FUNCTION": "{'value': True, 'success': True, 'failed_reason': None}",
    "MODEL_SCORE_AGGREGATOR": "[{'model_id': 'nobody'}]",
    "LEADERBOARD_RANKER": "[]",
    "REPORT_SCHEMA_PROVIDER": "{'schema_version': '1'}",
}
ORIGINALS = {
    "RAW_INPUT_PROVIDER": {"now"},
    "INFERENCE_INPUT_BUILDER": {"raw_input"},
    "PREDICTION_SCOPE_BUILDER": {"config", "inference_input"},
    "PREDICT_CALL_BUILDER": {"config", "inference_input", "scope"},
    "INFERENCE_OUTPUT_VALIDATOR": {"inference_output"},
    "GROUND_TRUTH_RESOLVER": {"prediction"},
    "SCORING_FUNCTION": {"prediction", "ground_truth"},
    "MODEL_SCORE_AGGREGATOR": {"scored_predictions", "models"},
    "LEADERBOARD_RANKER": {"entries"},
    "REPORT_SCHEMA_PROVIDER": set(),
}


@pytest.fixture
def broken(tmp_path: Path) -> Iterator[Path]:
    """A folder for a module of broken slots."""
    yield tmp_path / "broken_slots.py"
    sys.modules.pop("broken_slots", None)
    if str(tmp_path) in sys.path:
        sys.path.remove(str(tmp_path))


def faults_with(path: Path, slot: str, monkeypatch: pytest.MonkeyPatch, body: str) -> list[str]:
    path.write_text(body)
    importlib.invalidate_caches()
    monkeypatch.setenv(slot, "broken_slots:slot")
    return dry_run(read_competition(path.parent)).faults


def test_the_default_input_has_each_asset_where_there_are_several() -> None:
    now = utc("2026-01-05T00:10Z")
    series = {asset: Series("sample", asset, "candle", "1m") for asset in ("BTC", "ETH")}
    price = dict.fromkeys(("open", "high", "low", "close", "volume"), 1.0)
    records = {
        one: [history_record(one, now - timedelta(minutes=n), {**price, "close": float(n)}) for n in (2, 1)]
        for one in series.values()
    }
    tape = Tape(MemorySource(records), now, tuple(series.values()))
    configs = [{"scope_template": {"asset": asset}} for asset in ("BTC", "ETH", "BTC")]
    both = provide_raw_input(now, tape, configs, 1)
    assert list(both["by_asset"]) == ["BTC", "ETH"] and both["symbol"] == "BTC"
    assert both["candles_1m"] == both["by_asset"]["BTC"]["candles_1m"]
    assert [one["close"] for one in both["by_asset"]["ETH"]["candles_1m"]] == [1.0]
    assert "by_asset" not in provide_raw_input(now, tape, configs[:1], 1)


def test_there_are_ten_and_each_takes_the_originals_arguments() -> None:
    assert SLOT_NAMES == tuple(ORIGINALS) == tuple(BAD_RETURNS)
    for name, contract in CONTRACTS.items():
        assert ORIGINALS[name] <= set(contract.arguments), name


def test_the_examples_of_the_contracts_hold() -> None:
    found = doctest.testmod(contracts)
    assert found.attempted >= 14
    assert found.failed == 0


@pytest.mark.parametrize("slot", SLOT_NAMES)
def test_a_contract_begins_with_one_sentence(slot: str) -> None:
    summary = CONTRACTS[slot].summary
    assert summary[0].isupper()
    assert ". " not in summary
    assert summary.endswith((".", ":")) or "`{" in summary, summary


@pytest.mark.parametrize("pack", available_packs())
def test_the_defaults_implement_the_contracts(pack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACK", pack)
    competition = read_competition(tmp_path)
    slots = competition.slots()
    assert list(slots) == list(SLOT_NAMES)
    for name, slot in slots.items():
        assert slot.at.path.startswith("slots.defaults:")
        assert set(slot.wants) <= set(CONTRACTS[name].arguments)
    assert dry_run(competition).faults == []


@pytest.mark.parametrize("slot", SLOT_NAMES)
def test_the_dry_run_names_the_slot_that_returns_nonsense(
    slot: str, broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fault,) = faults_with(broken, slot, monkeypatch, f"def slot(): return {BAD_RETURNS[slot]}")
    assert fault.startswith(f"{slot}=broken_slots:slot (from environment): ")


@pytest.mark.parametrize("slot", SLOT_NAMES)
def test_the_dry_run_names_the_slot_that_raises(slot: str, broken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (fault,) = faults_with(broken, slot, monkeypatch, "def slot():\n    raise ValueError('no idea')")
    said = f"{slot}=broken_slots:slot (from environment): ValueError: no idea (broken_slots.py:2)"
    given = (
        '; it was given the pack\'s example_output {"value": 0.001}: set that to an answer that the contest accepts, '
    )
    assert fault == said + (f"{given}or mend the slot" if slot == "INFERENCE_OUTPUT_VALIDATOR" else "")


@pytest.mark.parametrize(
    ("rules", "score", "fault"),
    [
        ({}, -3, None),
        (
            {"worst_score": 50.0},
            -3,
            "worst_score = 50: the example answer scores -3, which is worse, since more is better",
        ),
        ({"score_direction": "asc", "worst_score": -50.0}, 3, "scores 3, which is worse, since less is better"),
        ({"score_direction": "asc", "worst_score": 50.0}, 3, None),
    ],
)
def test_a_worst_score_that_is_not_the_worst_is_a_fault(
    broken: Path, monkeypatch: pytest.MonkeyPatch, rules: dict[str, object], score: float, fault: str | None
) -> None:
    """Else who is absent would win."""
    pack = json.loads(available_packs()["baseline"].read_text()) | rules
    (broken.parent / "pack.json").write_text(json.dumps(pack))
    monkeypatch.setenv("PACK", "pack.json")
    given = f"{{'value': {score}, 'success': True, 'failed_reason': None}}"
    faults = faults_with(broken, "SCORING_FUNCTION", monkeypatch, f"def slot():\n    return {given}")
    assert len(faults) == (fault is not None)
    assert all(fault in one for one in faults if fault)


@pytest.mark.parametrize("slot", SLOT_NAMES)
def test_the_dry_run_names_the_slot_that_cannot_be_loaded(
    slot: str, broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fault,) = faults_with(broken, slot, monkeypatch, "def slot(nonsense): ...")
    assert fault.startswith(f"{slot}=broken_slots:slot (from environment): it wants an argument 'nonsense'")


@pytest.mark.parametrize(
    ("slot", "returned", "found"),
    [
        ("SCORING_FUNCTION", "{'value': float('inf'), 'success': True}", "value is inf, not a finite number"),
        ("SCORING_FUNCTION", "{'success': True}", 'must return {"value", "success", "failed_reason"}'),
        ("SCORING_FUNCTION", "-1.0", "must return"),
        ("PREDICT_CALL_BUILDER", "{'args': [object()], 'kwargs': {}}", "object"),
        ("GROUND_TRUTH_RESOLVER", "{'return': float('nan')}", "return"),
        ("MODEL_SCORE_AGGREGATOR", "[{'model_id': 'sample-model', 'score': {}}]", "no score.metrics"),
        ("REPORT_SCHEMA_PROVIDER", "None", "must return an object"),
    ],
)
def test_the_dry_run_says_what_is_wrong(
    slot: str, returned: str, found: str, broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fault,) = faults_with(broken, slot, monkeypatch, f"def slot(): return {returned}")
    assert fault.startswith(f"{slot}=")
    assert found in fault


def test_the_dry_run_reports_a_slot_once_though_two_configs_use_it(
    broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACK", "tournament")
    assert len(faults_with(broken, "SCORING_FUNCTION", monkeypatch, "def slot(): return None")) == 1


def test_a_slot_that_asks_past_its_moment_fails_the_dry_run(broken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = """
from datetime import timedelta
def slot(prediction, tape):
    tape.price("BTC", prediction.resolvable_at + timedelta(milliseconds=1))
"""
    (fault,) = faults_with(broken, "GROUND_TRUTH_RESOLVER", monkeypatch, body)
    assert "FutureError: asked for BTC at 2024-01-01T00:01:00.001000+00:00, but it is 2024-01-01T00:01:00" in fault


def test_the_report_schema_is_json() -> None:
    from slots.defaults import report_schema

    assert json.loads(json.dumps(report_schema(), allow_nan=False)) == report_schema()
