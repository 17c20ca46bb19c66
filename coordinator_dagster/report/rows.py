"""The rows that the web app reads, from what is stored: all it looks at is at the top level."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from coordinator_dagster.report.reasons import public_reason

Row = dict[str, Any]


def board_row(entry: Mapping[str, Any], created_at: datetime, state: str | None) -> Row:
    """An entry of a leaderboard. `status` is the model's state: the web app marks who is `active`."""
    payload = entry["score"].get("payload", {})
    return {
        **_scores(entry["score"]),
        "model_id": entry["model_id"],
        "model_name": entry.get("model_name"),
        "cruncher_name": entry.get("cruncher_name"),
        "rank": entry["rank"],
        "unranked_reason": entry.get("unranked_reason"),
        "answered": payload.get("answered"),
        "due": payload.get("due"),
        "coverage": payload.get("coverage"),
        "status": state,
        "created_at": naive(created_at),
        "score_payload": payload,
    }


def metrics_row(model_id: str, score: Mapping[str, Any], at: datetime) -> Row:
    """A model's metrics as they stood at that moment."""
    return {**_scores(score), "model_id": model_id, "performed_at": naive(at)}


def scope_row(model_id: str, score: Mapping[str, Any], at: datetime, scope_key: str, scope: Mapping[str, Any]) -> Row:
    """The same of one scope, whose fields are there to filter and group by."""
    return {**scope, **metrics_row(model_id, score, at), "scope_key": scope_key, "scope": dict(scope)}


def prediction_row(found: Mapping[str, Any]) -> Row:
    """One forecast and its score. Why it failed in the model's own words is not for everybody."""
    return {
        **found["scope"],
        "model_id": found["model_id"],
        "prediction_config_id": found["prediction_config_id"],
        "scope_key": found["scope_key"],
        "scope": found["scope"],
        "status": found["status"],
        "score_status": found["score_status"],
        "score_value": found["score_value"],
        "score_failed": not found["score_success"],
        "score_failed_reason": public_reason(found["score_status"], found["score_failed_reason"]),
        "scored_at": naive(found["scored_at"]) if found["scored_at"] else None,
        "performed_at": naive(found["performed_at"]),
    }


def score_name(metric: str) -> str:
    """Under which name a metric is found, beside its own."""
    return metric if metric.startswith("score_") else f"score_{metric}"


def naive(moment: datetime) -> str:
    """ISO in UTC without saying so: the web app adds the `Z` itself."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat()


def _scores(score: Mapping[str, Any]) -> Row:
    metrics = score["metrics"]
    return {
        **metrics,
        **{score_name(name): value for name, value in metrics.items()},
        "score_metrics": metrics,
        "score_ranking": {name: value for name, value in score["ranking"].items() if value is not None},
    }
