"""Slots as careless operators write them, and some that note what they were asked."""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from slots import defaults
from slots.tape import Tape
from slots.views import CyclePrediction, ModelView, ScoredPrediction

BAD_VALUES = {"nan": math.nan, "inf": math.inf, "minus inf": -math.inf, "true": True, "text": "0.5", "none": None}
# Finite, but past what the table takes, and past what can be squared and summed.
HUGE_VALUES = {"beyond the table": -1e305, "beyond the sums": -1e200}

asked: list[Any] = []
"""What the slots below were called with; a test clears it."""

meet: Callable[[], Any] = int
"""Called at each score; a test puts something there that holds workers until all are at it."""


def score_by_note(prediction: dict[str, Any], ground_truth: dict[str, Any]) -> dict[str, Any]:
    """The default, but an answer's note makes it raise or return what is no number."""
    asked.append(prediction)
    meet()
    note = prediction.get("note")
    if note == "raise":
        raise ZeroDivisionError("no score for this one")
    score = defaults.score_prediction(prediction, ground_truth)
    spoiled = BAD_VALUES | HUGE_VALUES
    return score | {"value": spoiled[note]} if note in spoiled else score


def counted_truth(prediction: CyclePrediction, tape: Tape) -> dict[str, Any] | None:
    """The default, noting the cycle and how far it could see."""
    asked.append((prediction.prediction_config_id, prediction.performed_at, tape.now))
    meet()
    return defaults.resolve_ground_truth(prediction, tape)


def mean_contributions(
    scored_predictions: Sequence[ScoredPrediction], models: Mapping[str, ModelView], now: datetime
) -> list[dict[str, Any]]:
    """What each model adds: over its cycles, the mean of its score less that of the others in the same cycle."""
    cycles: dict[tuple[str, datetime], dict[str, float]] = {}
    for one in scored_predictions:
        assert one.score.value is not None
        cycles.setdefault((one.scope_key, one.performed_at), {})[one.model_id] = one.score.value
    gains: dict[str, list[float]] = {}
    for scores in cycles.values():
        for model_id, own in scores.items():
            others = [value for other, value in scores.items() if other != model_id]
            if others:
                gains.setdefault(model_id, []).append(own - math.fsum(others) / len(others))
    return [_entry(model_id, models, math.fsum(own) / len(own)) for model_id, own in sorted(gains.items())]


def _entry(model_id: str, models: Mapping[str, ModelView], value: float) -> dict[str, Any]:
    score = {"metrics": {"contribution": value}, "ranking": {"key": "contribution", "value": value}}
    return {
        "model_id": model_id,
        "model_name": models[model_id].name,
        "cruncher_name": models[model_id].player_name,
        "score": score,
    }
