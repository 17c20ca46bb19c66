"""Slots that take in all they are shown, so that whatever a tape lets through reaches the tables."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from slots.defaults import aggregate_model_scores
from slots.defaults import resolve_ground_truth as default_truth
from slots.market import MarketRecord
from slots.tape import Tape
from slots.views import CyclePrediction, ModelView, Rollup, ScoredPrediction

TRUTH_SPAN = timedelta(minutes=11)
MINUTE = timedelta(minutes=1)
EARLIER = timedelta(seconds=75)
PRICES_BEFORE = (timedelta(0), EARLIER)


def provide_raw_input(now: datetime, tape: Tape, candles_window: int) -> dict[str, Any]:
    """Every series of the contest in every way a tape can be asked."""
    raw: dict[str, Any] = {"asof": now.isoformat()}
    since = now - candles_window * MINUTE
    for one in tape.series:
        which = (one.kind, one.granularity)
        frame = tape.frame(one.asset, since, now, *which)
        raw[str(one)] = {
            "last": [plain(found) for found in tape.last(one.asset, *which, count=candles_window)],
            "records": [plain(found) for found in tape.records(one.asset, since, now, *which)],
            "frame": [
                [at.isoformat(), values] for at, values in zip(frame.index, frame.to_dict("records"), strict=True)
            ],
        }
    prices = [tape.price(tape.series[0].asset, now - before) for before in PRICES_BEFORE]
    return raw | {"prices": [found and plain(found) for found in prices]}


def plain(record: MarketRecord) -> list[Any]:
    """All of a record that a slot can read, as JSON."""
    return [record.ts_event.isoformat(), record.event_end.isoformat(), record.known_at.isoformat(), record.values]


def resolve_ground_truth(prediction: CyclePrediction, tape: Tape) -> dict[str, Any] | None:
    """The default truth, with everything its tape shows of the time before it and the input of its instant."""
    truth = default_truth(prediction, tape)
    if truth is None:
        return None
    since, until = prediction.performed_at - TRUTH_SPAN, prediction.resolvable_at
    seen = [
        plain(found)
        for one in tape.series
        for found in tape.records(one.asset, since, until, one.kind, one.granularity)
    ]
    return truth | {"seen": seen, "last": [plain(found) for one in tape.series for found in _last(tape, one)]}


def _last(tape: Tape, series: Any) -> list[MarketRecord]:
    return tape.last(series.asset, series.kind, series.granularity, 5)


def aggregate(
    scored_predictions: Sequence[ScoredPrediction],
    rollups: Sequence[Rollup],
    models: Mapping[str, ModelView],
    now: datetime,
) -> list[dict[str, Any]]:
    """The default entries, each with every score that was shown for it."""
    entries = aggregate_model_scores(rollups, models, now)
    for entry in entries:
        entry["score"]["payload"]["seen"] = [
            [one.scope_key, one.performed_at.isoformat(), one.status, one.inference_output, one.score.value]
            for one in scored_predictions
            if one.model_id == entry["model_id"]
        ]
    return entries
