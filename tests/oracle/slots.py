"""Slots of the tests' own packs."""

from typing import Any


def absolute_error(prediction: dict[str, Any], ground_truth: dict[str, Any]) -> dict[str, Any]:
    """The absolute error of the return, in basis points: lower is better."""
    error = abs(prediction["value"] - ground_truth["return"])
    return {"value": error * 10_000, "success": True, "failed_reason": None}
