"""The ten slots: what each is for, what it is given, what it must return. This file is their reference.

A slot is a plain function, named by `module:function`. It names the arguments it wants: those listed here
are passed by name, and it may leave out any of them. The defaults, in `slots.defaults`, are ordinary slots.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from slots.tape import Tape
from slots.views import CyclePrediction, ModelView, Rollup, ScoredPrediction


@dataclass(frozen=True)
class Contract:
    """One slot: its name, the function that documents it, and the arguments an implementation may name."""

    name: str
    spec: Callable[..., Any]

    @property
    def arguments(self) -> tuple[str, ...]:
        return tuple(inspect.signature(self.spec).parameters)

    @property
    def summary(self) -> str:
        return (inspect.getdoc(self.spec) or "").splitlines()[0]


CONTRACTS: dict[str, Contract] = {}


def _slot(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(spec: Callable[..., Any]) -> Callable[..., Any]:
        CONTRACTS[name] = Contract(name, spec)
        return spec

    return register


@_slot("RAW_INPUT_PROVIDER")
def provide_raw_input(
    now: datetime, tape: Tape, configs: Sequence[Mapping[str, Any]], candles_window: int
) -> dict[str, Any]:
    """Gather what is known at the instant `now` (UTC).

    `tape` refuses anything past `now`; `configs` are the active prediction configs; `candles_window` is the
    setting FEED_CANDLES_WINDOW. The default returns

        {"symbol": "BTC", "asof_ts": 1679616000,
         "candles_1m": [{"ts": 1679615940, "open": ..., "high": ..., "low": ..., "close": ..., "volume": ...}]}

    with `ts` the open time in Unix seconds, oldest first, and `"ticks": [{"ts", "price"}]` where the contest
    lists a tick series. Where the configs are about several assets, these are of the first, and
    `"by_asset": {"BTC": {"candles_1m", "ticks"}, ...}` has each.
    """


@_slot("INFERENCE_INPUT_BUILDER")
def build_input(raw_input: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Make of the raw input what every model gets in `tick(data)`: a JSON object of finite numbers.

    >>> from slots.defaults import build_input
    >>> build_input({"symbol": "BTC", "candles_1m": []})
    {'symbol': 'BTC', 'candles_1m': []}
    """


@_slot("PREDICTION_SCOPE_BUILDER")
def build_prediction_scope(
    config: Mapping[str, Any], inference_input: Mapping[str, Any], now: datetime
) -> dict[str, Any]:
    """Say what is forecast at this instant: `{"scope_key": str, "scope": dict}`.

    `config` has `id, scope_key, scope_template, schedule, active, order, meta`.

    >>> from slots.defaults import build_prediction_scope
    >>> config = {"scope_key": "BTC-60s", "scope_template": {"asset": "BTC", "horizon_seconds": 60}}
    >>> build_prediction_scope(config)
    {'scope_key': 'BTC-60s', 'scope': {'asset': 'BTC', 'horizon_seconds': 60}}
    """


@_slot("PREDICT_CALL_BUILDER")
def build_predict_call(
    config: Mapping[str, Any],
    inference_input: Mapping[str, Any],
    scope: Mapping[str, Any],
    now: datetime,
) -> dict[str, Any]:
    """Say how `predict` is called: `{"args": [...], "kwargs": {...}}`, JSON values only.

    >>> from slots.defaults import build_predict_call
    >>> build_predict_call({"asset": "BTC", "horizon_seconds": 60, "step_seconds": 15})
    {'args': ['BTC', 60, 15], 'kwargs': {}}
    """


@_slot("INFERENCE_OUTPUT_VALIDATOR")
def validate_output(inference_output: Any, scope: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer as it is to be stored, a JSON object; raise to fail it (status FAILED).

    >>> from slots.defaults import validate_output
    >>> validate_output({"value": 0.001})
    {'value': 0.001}
    >>> validate_output({"value": float("nan")})
    Traceback (most recent call last):
    ValueError: value must be a finite number, got nan
    """


@_slot("GROUND_TRUTH_RESOLVER")
def resolve_ground_truth(prediction: CyclePrediction, tape: Tape) -> dict[str, Any] | None:
    """What came true for a cycle: the dict every model's answer is scored on, or None: not known (yet).

    `prediction` is the cycle: `scope_key, scope, performed_at, resolvable_at, prediction_config_id,
    inference_input, meta`. `tape` is bound to `resolvable_at` and refuses anything past it. The default
    returns `{asset, entry_price, resolved_price, resolved_market_time, return, y_up, source}`; `return` is a
    fraction, `resolved_market_time` ISO-8601.
    """


@_slot("SCORING_FUNCTION")
def score_prediction(
    prediction: dict[str, Any], ground_truth: dict[str, Any], scope: Mapping[str, Any]
) -> dict[str, Any]:
    """Score one answer: `{"value": finite number | None, "success": bool, "failed_reason": str | None}`.

    `prediction` is the model's validated output.

    >>> from slots.defaults import score_prediction
    >>> score_prediction({"value": 0.0015}, {"return": 0.0005})
    {'value': -10.0, 'success': True, 'failed_reason': None}
    """


@_slot("MODEL_SCORE_AGGREGATOR")
def aggregate_model_scores(
    scored_predictions: Sequence[ScoredPrediction],
    models: Mapping[str, ModelView],
    rollups: Sequence[Rollup],
    now: datetime,
) -> list[dict[str, Any]]:
    """One entry a model: `{model_id, model_name, cruncher_name, score: {metrics, ranking, payload}}`.

    `metrics` maps names to finite numbers or None; `ranking` is `{key, value, direction}` (the pack's
    `score_direction` where `direction` is left out). Ask for `rollups` (sums per model, scope and hour: cheap
    for ever) or for `scored_predictions` (every one of the trailing look-back), not both. Both end at `now`.
    """


@_slot("LEADERBOARD_RANKER")
def rank_leaderboard(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put the entries in order and give each a `rank` (1 is best).

    >>> from slots.defaults import rank_leaderboard
    >>> def entry(model, value):
    ...     ranking = {"key": "anchor", "value": value, "direction": "desc"}
    ...     return {"model_id": model, "score": {"ranking": ranking}}
    >>> ranked = rank_leaderboard([entry("a", -2.0), entry("b", None), entry("c", -1.0), entry("d", -1.0)])
    >>> [(one["model_id"], one["rank"]) for one in ranked]
    [('c', 1), ('d', 1), ('a', 3), ('b', None)]
    """


@_slot("REPORT_SCHEMA_PROVIDER")
def report_schema() -> dict[str, Any]:
    """What the report UI shows: `{"schema_version", "leaderboard_columns", "metrics_widgets"}`.

    >>> from slots.defaults import report_schema
    >>> sorted(report_schema())
    ['leaderboard_columns', 'metrics_widgets', 'schema_version']
    """


SLOT_NAMES = tuple(CONTRACTS)
