"""Slots that look at more than the defaults do, or change what they are given."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from slots import defaults
from slots.tape import Tape
from slots.views import CyclePrediction, ModelView, ScoredPrediction


def resolve_from_input(prediction: CyclePrediction, tape: Tape) -> dict[str, Any] | None:
    """The default's truth, with what the models had been given, and how long the tape is."""
    truth = defaults.resolve_ground_truth(prediction, tape)
    asset = prediction.scope["asset"]
    prediction.scope.clear()  # type: ignore[attr-defined]
    if truth is None:
        return None
    given = prediction.inference_input["candles_1m"]
    return truth | {"given": len(given), "last": given[-1]["close"], "tape": len(tape.last(asset, count=10**6))}


def score_and_spoil(prediction: dict[str, Any], ground_truth: dict[str, Any], scope: dict[str, Any]) -> dict[str, Any]:
    """The default's score; afterwards nothing is as it was."""
    found = defaults.score_prediction(prediction, ground_truth)
    for one in (prediction, ground_truth, scope):
        one.clear()
    return found


def mean_of_predictions(
    scored_predictions: Sequence[ScoredPrediction], models: Mapping[str, ModelView]
) -> list[dict[str, Any]]:
    """The mean score of each model, in the order in which it is told of them, with the last of what it is told."""
    own: dict[str, list[ScoredPrediction]] = {}
    for one in scored_predictions:
        own.setdefault(one.model_id, []).append(one)
    entries = []
    for model_id, found in own.items():
        last = found[-1]
        mean = math.fsum(one.score.value or 0 for one in found) / len(found)
        told = {
            "last": [last.performed_at.isoformat(), last.scope_key, last.status, last.score.failed_reason],
            "scope": dict(last.scope),
            "output": last.inference_output,
            "in order": sum(n * (one.score.value or 0) for n, one in enumerate(found)),
        }
        score = {"metrics": {"mean": mean}, "ranking": {"key": "mean", "value": mean}, "payload": told}
        name = models[model_id]
        entries.append(
            {"model_id": model_id, "model_name": name.name, "cruncher_name": name.player_name, "score": score}
        )
    return entries
