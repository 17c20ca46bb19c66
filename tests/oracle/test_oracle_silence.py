"""A model that never answers never wins, whatever the rules say of missing answers and of coverage."""

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from coordinator_dagster.competition import Competition, read_competition
from coordinator_dagster.packs import available_packs
from coordinator_dagster.replay import replay
from coordinator_dagster.runtime import open_runtime
from coordinator_dagster.store.store import Store
from tests.oracle.settling import settle
from tests.oracle.stored import CURRENT, frame

Replayed = Callable[[dict[str, str]], Competition]

SOURCE = """import time
from slots.tracker import TrackerBase
class Model(TrackerBase):
    def tick(self, data):
        self.n = data["asof_ts"] // 300
    def predict(self, asset, horizon, step):
        n = self.n
        return {{"value": {value}}}
"""
SILENT = {"raises": "1 / 0", "hangs": "time.sleep(60)", "not-a-number": "float('nan')"}
# `large` is the worst of the three at every instant, and still better than `worst_score`.
STEADY = {"zero": "0.0", "small": "1e-5 * (n % 3)", "large": "2e-3"}
# Each is off by half the price in one instant of three: their mean is far worse than `worst_score`.
WILD = {f"wild-{place}": f"0.5 * (n % 3 == {place})" for place in range(3)}

MEDIAN = {"rule": "percentile", "percentile": 50}
MISSING = [{"rule": "percentile", "percentile": 90}, MEDIAN, {"rule": "worst"}, {"rule": "skip"}]
DIRECTIONS = {
    "desc": {"worst_score": -500, "SCORING_FUNCTION": "slots.defaults:score_prediction"},
    "asc": {"worst_score": 500, "SCORING_FUNCTION": "tests.oracle.slots:absolute_error"},
}


def rules(missing: dict[str, Any], direction: str, min_coverage: float) -> dict[str, Any]:
    pack = json.loads(available_packs()["tournament"].read_text())
    chosen = DIRECTIONS[direction]
    pack["callables"]["SCORING_FUNCTION"] = chosen["SCORING_FUNCTION"]
    pack |= {"missing": missing, "score_direction": direction, "worst_score": chosen["worst_score"]}
    return pack | {"min_coverage": min_coverage, "min_cycles": 0}


@pytest.fixture
def replayed(
    competition: Callable[..., Competition], model_folder: Callable[[str, str], Path], tmp_path: Path
) -> Replayed:
    """Sixteen cycles of the tournament with these models beside the silent ones."""

    def run(models: dict[str, str]) -> Competition:
        for name, value in (SILENT | models).items():
            folder = model_folder(name, SOURCE.format(value=value))
        (tmp_path / "pack.json").write_text(json.dumps(rules(MISSING[0], "desc", 0)))
        made = competition(
            pack=tmp_path / "pack.json",
            models_dir=folder,
            model_runner_timeout_seconds=0.3,
            competition_end="2026-01-05T01:00Z",
        )
        with open_runtime(made) as runtime:
            replay(runtime, made.windows.between(made.start, made.settings.competition_end), lambda done: None)
            asked = frame(runtime.store, "select distinct model_id, status from forecasts order by 1")
        found = set(zip(asked.model_id, asked.status, strict=True))
        silent = {("raises", "FAILED"), ("hangs", "TIMEOUT"), ("not-a-number", "FAILED")}
        suspended = {(name, "SUSPENDED") for name in SILENT}  # from the tenth failure on, or the fifth timeout
        assert found == silent | suspended | {(name, "SUCCESS") for name in models}
        return made

    return run


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("answering", "min_coverage"),
    [
        pytest.param(STEADY, 0.5, id="steady"),
        pytest.param(STEADY, 0, id="steady-without-thresholds"),
        pytest.param(WILD, 0.5, id="wild"),
        pytest.param(WILD, 0, id="wild-without-thresholds"),
    ],
)
def test_a_model_that_never_answers_never_wins(
    replayed: Replayed, answering: dict[str, str], min_coverage: float, tmp_path: Path
) -> None:
    made = replayed(answering)
    faults = []
    for missing, direction in product(MISSING, DIRECTIONS):
        (tmp_path / "pack.json").write_text(json.dumps(rules(missing, direction, min_coverage)))
        with open_runtime(read_competition(tmp_path)) as runtime:
            settle(runtime, made.windows.between(made.start, made.settings.competition_end))
            board = ranks(runtime.store)
        assert set(board) == SILENT.keys() | answering.keys()
        assert all(board[model] for model in answering), "at these thresholds whoever answers is ranked"
        silent = [board[model] for model in SILENT if board[model]]
        if 1 in silent or min(board[model] for model in answering) != 1:
            faults.append(f"{missing} {direction}: silence wins: {board}")
        if silent and (missing["rule"] == "skip" or min_coverage):
            faults.append(f"{missing} {direction}: ranked without a value or below the coverage: {board}")
        # Of three answers the 90th percentile is the worst: at best they share the last one's rank.
        if silent and answering is STEADY and missing != MEDIAN and min(silent) < max(board[one] for one in STEADY):
            faults.append(f"{missing} {direction}: silence is above an answer: {board}")
    assert not faults, "\n".join(faults)


def ranks(store: Store) -> dict[str, int | None]:
    found = frame(
        store,
        "select e->>'model_id' as model, (e->>'rank')::int as rank "
        f"from leaderboards, jsonb_array_elements(entries_jsonb) e where {CURRENT}",
    )
    return dict(zip(found.model, found["rank"], strict=True))
