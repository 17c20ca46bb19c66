"""One instant: what its models are asked, and what came of it as facts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson

from coordinator_dagster.orders import Orders
from coordinator_dagster.packs import Pack, PredictionConfig
from coordinator_dagster.runners.base import Answer, ModelInfo
from coordinator_dagster.stages.facts import Cycle, Forecast, StoredInput
from coordinator_dagster.stages.numbers import clean_text, json_fault
from coordinator_dagster.stages.suspension import Said, Suspension
from slots.loader import Slot, SlotFailure, describe

ASKING_SLOTS = ("PREDICTION_SCOPE_BUILDER", "PREDICT_CALL_BUILDER", "INFERENCE_OUTPUT_VALIDATOR")
RAW_SHOWN = 2_000
ABSENT = Answer("ABSENT", 0.0, reason="the runner knows it no more")


def missed(config: PredictionConfig, t: datetime, reason: str) -> Cycle:
    """A cycle that nobody will perform any more."""
    return Cycle(config.id, t, t + config.horizon, "MISSED", reason)


def prepare(
    pack: Pack, slots: Mapping[str, Slot], given: StoredInput, configs: Sequence[PredictionConfig]
) -> list[Cycle]:
    """The instant's cycles, with what each model is asked in them; SlotFailure when a slot gives none."""
    t, asking = given.performed_at, []
    asked_for = any(one.asks_for("inference_input") for one in slots.values())
    inference_input = orjson.loads(given.payload) if asked_for else None
    for config in configs:
        offered = {"config": config.as_slot_config(), "inference_input": inference_input, "now": t}
        envelope = _checked(slots["PREDICTION_SCOPE_BUILDER"], scope_fault, offered)
        call = _checked(
            slots["PREDICT_CALL_BUILDER"],
            call_fault,
            offered | {"scope": envelope["scope"]},
        )
        cycle = Cycle(
            config.id,
            t,
            t + config.horizon,
            "PERFORMED",
            None,
            given.cut_off,
            given.cut_off + pack.deadline(config),
            envelope["scope_key"],
            envelope["scope"],
            {"args": call["args"], "kwargs": call["kwargs"]},
        )
        asking.append(cycle)
    return asking


def _checked(slot: Slot, shape_fault: Callable[[Any], str | None], offered: Mapping[str, Any]) -> dict[str, Any]:
    """What the slot returned, when it has its shape."""
    found = slot(**offered)
    if fault := shape_fault(found):
        raise SlotFailure(f"{slot.at}: {fault}")
    return found


def _object_of(**shape: type) -> Callable[[Any], str | None]:
    """A check for an object with these keys, in JSON of finite numbers."""
    shown = ", ".join(f'"{name}": {kind.__name__}' for name, kind in shape.items())

    def fault(found: Any) -> str | None:
        wrong = not isinstance(found, dict) or any(not isinstance(found.get(n), kind) for n, kind in shape.items())
        return f"returned {found!r:.80}; it must return {{{shown}}}" if wrong else json_fault(found)

    return fault


scope_fault = _object_of(scope_key=str, scope=dict)
call_fault = _object_of(args=list, kwargs=dict)


def answered(
    validator: Slot,
    cycles: Sequence[Cycle],
    answers: Mapping[str, Sequence[Answer]],
    models: Sequence[ModelInfo],
    orders: Orders,
    joined: dict[str, datetime],
    suspended: Mapping[str, Suspension],
    waited: timedelta = timedelta(0),
) -> list[Forecast]:
    """The models' answers to the cycles of an instant as facts, by cycle, then model.

    Who is `suspended` was not asked, and for who has gone there is an absence. `joined` says since when each owes an
    answer; who answers now is added. `waited` is how long after the cut-off they were asked, by our own doing.
    """
    t = cycles[0].performed_at
    there = {*answers, *suspended}
    gone = [model_id for model_id, since in joined.items() if model_id not in there and since <= t]
    for model_id in answers:
        joined.setdefault(model_id, t)  # who answers now owes the window's next instants too
    every = {**answers, **{model_id: [ABSENT] * len(cycles) for model_id in gone}}
    deployments = {model.id: model.deployment for model in models}
    taking_part = [model_id for model_id in sorted({*every, *suspended}) if not orders.out(model_id, t)]
    return [
        _not_asked(model_id, cycle, suspended[model_id], deployments.get(model_id))
        if model_id in suspended
        else _forecast(validator, model_id, cycle, every[model_id][place], deployments.get(model_id), waited)
        for place, cycle in enumerate(cycles)
        for model_id in taking_part
    ]


def said(forecasts: Iterable[Forecast]) -> list[Said]:
    """What the rule of suspension looks at."""
    return [Said(one.model_id, one.status, one.meta.get("reason", ""), one.deployment) for one in forecasts]


def _not_asked(model_id: str, cycle: Cycle, why: Suspension, deployment: str | None) -> Forecast:
    return Forecast(model_id, cycle, "SUSPENDED", None, None, None, None, None, deployment, why.meta)


def _forecast(
    validator: Slot, model_id: str, cycle: Cycle, answer: Answer, deployment: str | None, waited: timedelta
) -> Forecast:
    """The answer as a fact: validated, and LATE when it came after the cycle's `answer_by` and not by our fault."""
    assert cycle.cut_off is not None and cycle.answer_by is not None
    asked_at = cycle.cut_off + waited
    arrived = asked_at + timedelta(seconds=answer.elapsed)
    status, output, meta = answer.status, None, {}
    if status == "SUCCESS":
        output, reason = _validated(validator, answer.output, cycle)
        if reason is not None:
            status, meta = "FAILED", {"reason": clean_text(reason), "raw": repr(answer.output)[:RAW_SHOWN]}
        elif arrived > cycle.answer_by:
            ours = arrived - waited <= cycle.answer_by
            status = "PLATFORM_FAULT" if ours else "LATE"
            allowed = (cycle.answer_by - cycle.cut_off).total_seconds()
            why = f", asked {waited.total_seconds():.3f} s after the cut-off" if waited else ""
            meta = {"reason": f"answered after {answer.elapsed:.3f} s{why}, allowed were {allowed:g} s"}
    else:
        meta = {"reason": clean_text(answer.reason or "")}
    answered_at = arrived if answer.status == "SUCCESS" else None
    spent, queued = answer.exec_time_ms, answer.queued_ms
    return Forecast(model_id, cycle, status, spent, queued, output, asked_at, answered_at, deployment, meta)


def _validated(validator: Slot, given: Any, cycle: Cycle) -> tuple[dict[str, Any] | None, str | None]:
    """The output as the validator returns it, or why the answer fails."""
    try:
        output = validator(inference_output=given, scope=cycle.scope)
    except SlotFailure as failure:
        return None, describe(failure.__cause__) if failure.__cause__ else str(failure)
    if not isinstance(output, dict):
        return None, f"the validator returned a {type(output).__name__}, not an object"
    fault = json_fault(output)
    return (None, fault) if fault else (output, None)
