"""Slots written for the original coordinator run unchanged, through a whole replay to the leaderboard."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coordinator_dagster.competition import Competition
from coordinator_dagster.replay import replay
from coordinator_dagster.runtime import open_runtime

BODY = '''
SEEN = set()


def build_prediction_scope(config, inference_input):
    return {"scope_key": config["scope_key"] + "-old", "scope": {**config["scope_template"], "old": True}}


def validate_output(inference_output):
    return {"value": float(inference_output["value"])}


def resolve_ground_truth(prediction):
    """Attributes only; the prices are those of the input that everybody was given."""
    assert prediction.scope_key.endswith("-old") and prediction.scope["old"]
    assert prediction.prediction_config_id == "btc-60s" and prediction.meta == {}
    assert (prediction.resolvable_at - prediction.performed_at).total_seconds() == 60
    candles = prediction.inference_input["candles_1m"]
    return {"return": candles[-1]["close"] / candles[-2]["close"] - 1, "asset": prediction.scope["asset"]}


def score_prediction(prediction, ground_truth, offset=1000.0):
    """A default that is nobody's argument is left alone."""
    error = abs(prediction["value"] - ground_truth["return"])
    return {"value": offset - error, "success": True, "failed_reason": None}


def aggregate_model_scores(scored_predictions, models):
    """One entry a model, off the attributes of the stored forecasts."""
    by_model = {}
    for scored in scored_predictions:
        assert scored.score.success and scored.score.failed_reason is None and scored.score.scored_at
        assert scored.scope_key.endswith("-old") and scored.scope["old"] and scored.performed_at
        SEEN.add(scored.status)
        if scored.status == "SUCCESS":
            assert isinstance(scored.inference_output["value"], float)
        by_model.setdefault(scored.model_id, []).append(scored.score.value)
    return [
        {
            "model_id": model_id,
            "model_name": models[model_id].name,
            "cruncher_name": models[model_id].player_name,
            "score": {
                "metrics": {"best": max(values), "count": len(values)},
                "ranking": {"key": "best", "value": max(values), "direction": "desc"},
                "payload": {},
            },
        }
        for model_id, values in by_model.items()
    ]


def rank_leaderboard(entries):
    ordered = sorted(entries, key=lambda entry: entry["score"]["ranking"]["value"], reverse=True)
    return [{**entry, "rank": place} for place, entry in enumerate(ordered, 1)]
'''
STATUSES = {"SUCCESS"}
FUNCTIONS = {
    "PREDICTION_SCOPE_BUILDER": "build_prediction_scope",
    "INFERENCE_OUTPUT_VALIDATOR": "validate_output",
    "GROUND_TRUTH_RESOLVER": "resolve_ground_truth",
    "SCORING_FUNCTION": "score_prediction",
    "MODEL_SCORE_AGGREGATOR": "aggregate_model_scores",
    "LEADERBOARD_RANKER": "rank_leaderboard",
}


@pytest.fixture
def old_slots(tmp_path: Path) -> Iterator[None]:
    (tmp_path / "old_slots.py").write_text(BODY)
    yield
    sys.path.remove(str(tmp_path))
    del sys.modules["old_slots"]


@pytest.mark.usefixtures("old_slots")
@pytest.mark.parametrize("slots", [("SCORING_FUNCTION",), tuple(FUNCTIONS)], ids=["the scorer", "six slots"])
def test_the_originals_slots_run_through_a_whole_replay(
    competition: Callable[..., Competition], tmp_path: Path, slots: tuple[str, ...]
) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "callables.env").write_text("".join(f"{n}=old_slots:{FUNCTIONS[n]}\n" for n in slots))
    made = competition(competition_end="2026-01-05T01:00Z")
    with open_runtime(made) as runtime:
        replay(runtime, made.windows.between(made.start, made.settings.competition_end), lambda done: None)
        entries = runtime.store.boards.latest_leaderboard().entries_jsonb
        rows = runtime.store.database.read(
            "select model_id, max(score_value) as best, avg(score_value) as mean, count(*) as n, "
            "min(scope_key) as scope_key from predictions where score_success group by model_id"
        )
    stored = {row.model_id: row for row in rows}
    assert len(entries) == 3
    assert [entry["rank"] for entry in entries] == [1, 2, 3]
    for entry in entries:
        row, metrics = stored[entry["model_id"]], entry["score"]["metrics"]
        assert 999 < row.best <= 1000
        if len(slots) == 1:
            assert metrics["anchor"] == pytest.approx(row.mean, abs=1e-9)
        else:
            assert metrics == {"best": row.best, "count": row.n}
            assert row.scope_key == "BTC-60s-old"
            assert sys.modules["old_slots"].SEEN == STATUSES
