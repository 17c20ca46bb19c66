"""Slots that ask their tape for one millisecond more than they may."""

from datetime import datetime, timedelta
from typing import Any

from slots.defaults import resolve_ground_truth
from slots.tape import Tape
from slots.views import CyclePrediction

AHEAD = timedelta(milliseconds=1)
BACK = timedelta(minutes=30)
EVERY = 20  # minutes: which cycles' truths peek


def _records(tape: Tape, at: datetime) -> Any:
    one = tape.series[0]
    return tape.records(one.asset, at - BACK, at + AHEAD, one.kind, one.granularity)


def _frame(tape: Tape, at: datetime) -> Any:
    one = tape.series[0]
    return tape.frame(one.asset, at - BACK, at + AHEAD, one.kind, one.granularity)


def _price(tape: Tape, at: datetime) -> Any:
    return tape.price(tape.series[0].asset, at + AHEAD)


def input_by_records(now: datetime, tape: Tape) -> dict[str, Any]:
    return {"asof_ts": int(now.timestamp()), "seen": len(_records(tape, now))}


def input_by_frame(now: datetime, tape: Tape) -> dict[str, Any]:
    return {"asof_ts": int(now.timestamp()), "seen": len(_frame(tape, now))}


def input_by_price(now: datetime, tape: Tape) -> dict[str, Any]:
    return {"asof_ts": int(now.timestamp()), "seen": bool(_price(tape, now))}


def peeks(performed_at: datetime) -> bool:
    """Whether the truth of a cycle at that instant is one that asks ahead."""
    return performed_at.minute % EVERY == 0


def truth_by_records(prediction: CyclePrediction, tape: Tape) -> dict[str, Any] | None:
    if peeks(prediction.performed_at):
        _records(tape, prediction.resolvable_at)
    return resolve_ground_truth(prediction, tape)


def truth_by_frame(prediction: CyclePrediction, tape: Tape) -> dict[str, Any] | None:
    if peeks(prediction.performed_at):
        _frame(tape, prediction.resolvable_at)
    return resolve_ground_truth(prediction, tape)


def truth_by_price(prediction: CyclePrediction, tape: Tape) -> dict[str, Any] | None:
    if peeks(prediction.performed_at):
        _price(tape, prediction.resolvable_at)
    return resolve_ground_truth(prediction, tape)
