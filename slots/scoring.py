"""How a forecast is scored, unless the contest says otherwise: by the error of its return."""

from typing import Any

BASIS_POINTS = 10_000


def score_prediction(prediction: dict[str, Any], ground_truth: dict[str, Any]) -> dict[str, Any]:
    """Minus the absolute error of the return, in basis points: higher is better, 0 is perfect.

    >>> score_prediction({"value": 0.0015}, {"return": 0.0005})
    {'value': -10.0, 'success': True, 'failed_reason': None}
    """
    error = abs(prediction["value"] - ground_truth["return"])
    return {"value": -error * BASIS_POINTS, "success": True, "failed_reason": None}
