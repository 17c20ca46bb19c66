"""The slots' default implementations: forecast a price's return, score by absolute error, rank by the mean."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from slots.scoring import score_prediction as score_prediction
from slots.tape import Tape
from slots.views import CyclePrediction, ModelView, Rollup

METRIC_HOURS = {"recent": 24, "steady": 72, "anchor": 168}
RANKED_BY = "anchor"
LARGEST_RETURN = 1e6


def provide_raw_input(
    now: datetime, tape: Tape, configs: Sequence[Mapping[str, Any]], candles_window: int
) -> dict[str, Any]:
    """The last 1-minute candles of the first config's asset, and its last ticks where they are listed.

    Where the configs are about more than one asset, the same of each in `by_asset`.
    """
    assets = list(dict.fromkeys(config["scope_template"]["asset"] for config in configs))
    by_asset = {asset: _of_asset(asset, tape, candles_window) for asset in assets}
    raw = {"symbol": assets[0], "asof_ts": int(now.timestamp()), **by_asset[assets[0]]}
    return raw | {"by_asset": by_asset} if len(assets) > 1 else raw


def _of_asset(asset: str, tape: Tape, count: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "candles_1m": [
            dict(candle.values, ts=_seconds(candle.ts_event)) for candle in tape.last(asset, "candle", "1m", count)
        ]
    }
    if tape.has_ticks(asset):
        found["ticks"] = [
            {"ts": tick.ts_event.timestamp(), "price": tick.price} for tick in tape.last(asset, "tick", "1s", count)
        ]
    return found


@lru_cache(1 << 12)
def _seconds(moment: datetime) -> int:
    """Since the Unix epoch; the same candles come at instant after instant."""
    return int(moment.timestamp())


def build_input(raw_input: dict[str, Any]) -> dict[str, Any]:
    return raw_input


def build_prediction_scope(config: Mapping[str, Any]) -> dict[str, Any]:
    return {"scope_key": config["scope_key"], "scope": dict(config["scope_template"])}


def build_predict_call(scope: Mapping[str, Any]) -> dict[str, Any]:
    return {"args": [scope["asset"], scope["horizon_seconds"], scope["step_seconds"]], "kwargs": {}}


def validate_output(inference_output: Any) -> dict[str, Any]:
    """Only `{"value": finite number}` is an answer; other keys are kept."""
    if not isinstance(inference_output, dict) or "value" not in inference_output:
        raise ValueError(f'the answer must be {{"value": number}}, got {inference_output!r:.80}')
    value = inference_output["value"]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"value must be a finite number, got {value!r:.80}")
    if abs(value) > LARGEST_RETURN:
        raise ValueError(f"value must be a return as a fraction, at most {LARGEST_RETURN:g}, got {value!r:.80}")
    return inference_output


def resolve_ground_truth(prediction: CyclePrediction, tape: Tape) -> dict[str, Any] | None:
    """The return from the price at the instant to the price at the horizon; None where either is missing."""
    asset = prediction.scope["asset"]
    entry = tape.price(asset, prediction.performed_at)
    resolved = tape.price(asset, prediction.resolvable_at)
    if entry is None or resolved is None:
        return None
    change = resolved.price / entry.price - 1
    return {
        "asset": asset,
        "entry_price": entry.price,
        "resolved_price": resolved.price,
        "resolved_market_time": resolved.event_end.isoformat(),
        "return": change,
        "y_up": change > 0,
        "source": resolved.series.provider,
    }


def aggregate_model_scores(
    rollups: Sequence[Rollup], models: Mapping[str, ModelView], now: datetime
) -> list[dict[str, Any]]:
    """Mean scores over the trailing hours of each metric, all scopes together."""
    by_model: dict[str, list[Rollup]] = {}
    for rollup in rollups:
        by_model.setdefault(rollup.model_id, []).append(rollup)
    entries = []
    for model_id, own in sorted(by_model.items()):
        metrics = {name: _mean(own, now - timedelta(hours=hours)) for name, hours in METRIC_HOURS.items()}
        entries.append(
            {
                "model_id": model_id,
                "model_name": models[model_id].name,
                "cruncher_name": models[model_id].player_name,
                "score": {
                    "metrics": metrics,
                    "ranking": {"key": RANKED_BY, "value": metrics[RANKED_BY]},
                    "payload": {},
                },
            }
        )
    return entries


def _mean(rollups: Sequence[Rollup], since: datetime) -> float | None:
    inside = [rollup for rollup in rollups if rollup.window_end > since]
    count = sum(rollup.scored for rollup in inside)
    return math.fsum(rollup.total for rollup in inside) / count if count else None


def rank_leaderboard(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Best first by each entry's ranking value; ties share a rank; no value comes last, unranked."""

    def key(entry: dict[str, Any]) -> tuple[bool, float, str]:
        ranking = entry["score"]["ranking"]
        value = ranking["value"]
        worst_first = 0.0 if value is None else value if ranking["direction"] == "asc" else -value
        return value is None, worst_first, entry["model_id"]

    ranked: list[dict[str, Any]] = []
    for place, entry in enumerate(sorted(entries, key=key), 1):
        value = entry["score"]["ranking"]["value"]
        tied = ranked and ranked[-1]["score"]["ranking"]["value"] == value
        rank = None if value is None else ranked[-1]["rank"] if tied else place
        ranked.append({**entry, "rank": rank})
    return ranked


def report_schema() -> dict[str, Any]:
    """Columns and widgets for the default entries; the shapes are the report web app's."""

    def column(number: int, kind: str, name: str, title: str, tooltip: str | None = None) -> dict[str, Any]:
        return {
            "id": number,
            "type": kind,
            "property": name,
            "format": None,
            "displayName": title,
            "tooltip": tooltip,
            "nativeConfiguration": None,
            "order": number * 10,
        }

    def chart(number: int, title: str, endpoint: str, names: list[str], **more: Any) -> dict[str, Any]:
        series = [{"name": name, "label": name.removeprefix("score_")} for name in names]
        native = {
            "type": "line",
            "xAxis": {"name": "performed_at"},
            "yAxis": {"series": series, "format": "decimal-2"},
            **more,
        }
        return {
            "id": number,
            "type": "CHART",
            "displayName": title,
            "tooltip": None,
            "order": number * 10,
            "endpointUrl": endpoint,
            "nativeConfiguration": native,
        }

    return {
        "schema_version": "1",
        "leaderboard_columns": [
            column(1, "USERNAME", "cruncher_name", "Player"),
            column(2, "PROJECT", "model_name", "Model"),
            *(
                column(3 + place, "VALUE", f"score_{name}", name.capitalize(), f"Mean score over {hours} hours")
                | {"format": "decimal-2"}
                for place, (name, hours) in enumerate(METRIC_HOURS.items())
            ),
        ],
        "metrics_widgets": [
            # The web app keeps 1 and 3 for charts of its own.
            chart(4, "Scores through time", "/reports/models/metrics", [f"score_{name}" for name in METRIC_HOURS]),
            chart(
                2,
                "Scores of single forecasts",
                "/reports/predictions",
                ["score_value"],
                groupByProperty="scope_key",
                alertConfig={"field": "score_failed", "reasonField": "score_failed_reason"},
                filterConfig=[
                    {"type": "select", "label": "Scope", "property": "scope_key", "autoSelectFirst": True},
                ],
            ),
        ],
    }
