"""Ask the models: each instant's cycles in order, a window at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson

from coordinator_dagster.clock import Clock
from coordinator_dagster.competition import Competition
from coordinator_dagster.orders import Orders
from coordinator_dagster.packs import Pack, PredictionConfig
from coordinator_dagster.runners.base import Answer, Call, Runner
from coordinator_dagster.stages.facts import Cycle, Forecast, StoredInput
from coordinator_dagster.stages.numbers import clean_text, not_json
from coordinator_dagster.windows import Window
from slots.loader import Slot, SlotFailure, describe

if TYPE_CHECKING:
    from coordinator_dagster.store.store import Store

RAW_SHOWN = 2_000
ABSENT = Answer("ABSENT", 0.0, reason="the runner knows it no more")


@dataclass
class PredictReport:
    """Cycles performed now, ended before, missed, still planned; and forecasts by status."""

    performed: int = 0
    kept: int = 0
    missed: int = 0
    planned: int = 0
    statuses: dict[str, int] = field(default_factory=dict)


def predict(
    competition: Competition, store: Store, runner: Runner, clock: Clock, windows: Sequence[Window]
) -> PredictReport:
    """Perform the cycles of these windows that have an input; nothing that has ended is asked again.

    The cycles of a pause are MISSED; in a live schema so are those of a window that is over. Models that are
    disqualified or gone are not asked.
    """
    slots = competition.slots("PREDICTION_SCOPE_BUILDER", "PREDICT_CALL_BUILDER", "INFERENCE_OUTPUT_VALIDATOR")
    store.cycles.sync_models(runner.models())
    report, schedule = PredictReport(), store.schedule(competition)
    for window in windows:
        ended = store.cycles.ended(window)
        due = [(t, config) for t, config in schedule.due(window) if (config.id, t) not in ended]
        report.kept += len(ended)
        if not due:
            continue
        over = competition.settings.mode == "live" and window.end <= clock.now()
        why = {t: _missed_because(schedule.orders, t, over) for t, _ in due}
        cycles = [Cycle(config.id, t, t + config.horizon, "MISSED", reason) for t, config in due if (reason := why[t])]
        rest = [(t, config) for t, config in due if not why[t]]
        performed, forecasts = _perform(competition, store, runner, slots, schedule.orders, window, rest)
        store.cycles.add(window, cycles + performed, forecasts)
        _count(report, cycles + performed, forecasts)
    return report


def _missed_because(orders: Orders, t: datetime, over: bool) -> str | None:
    if pause := orders.pause(t):
        return f"paused: {pause.reason}"
    return "no live run performed it before its window ended" if over else None


def _perform(
    competition: Competition,
    store: Store,
    runner: Runner,
    slots: Mapping[str, Slot],
    orders: Orders,
    window: Window,
    due: Sequence[tuple[datetime, PredictionConfig]],
) -> tuple[list[Cycle], list[Forecast]]:
    inputs, joined = store.cycles.inputs(window) if due else {}, store.cycles.joined()
    cycles: list[Cycle] = []
    forecasts: list[Forecast] = []
    if inputs:
        runner.fresh()
        store.cycles.sync_models(runner.models())  # some may have come since
    deployments = {model.id: model.deployment for model in runner.models()}
    by_instant: dict[datetime, list[PredictionConfig]] = {}
    for t, config in due:
        by_instant.setdefault(t, []).append(config)
    for t, configs in by_instant.items():
        if t not in inputs:
            waits = ("planned", "its input is not there yet")
            state, reason = ("MISSED", "the competition ended before its input was there") if orders.end() else waits
            cycles += [Cycle(one.id, t, t + one.horizon, state, reason) for one in configs]
            continue
        asking = _prepare(competition.pack, slots, inputs[t], configs)
        calls = [Call(**(one.call or {})) for one in asking]
        answers = runner.ask(inputs[t].payload, calls, competition.timeout(configs))
        cycles += asking
        gone = [model_id for model_id, since in joined.items() if model_id not in answers and since <= t]
        for model_id in answers:
            joined.setdefault(model_id, t)  # who answers now owes the window's next instants too
        answers |= {model_id: [ABSENT] * len(asking) for model_id in sorted(gone)}
        taking_part = [model_id for model_id in answers if not orders.out(model_id, t)]
        forecasts += [
            _forecast(
                slots["INFERENCE_OUTPUT_VALIDATOR"],
                model_id,
                cycle,
                answers[model_id][place],
                deployments.get(model_id),
            )
            for place, cycle in enumerate(asking)
            for model_id in taking_part
        ]
    return cycles, forecasts


def _prepare(
    pack: Pack, slots: Mapping[str, Slot], given: StoredInput, configs: Sequence[PredictionConfig]
) -> list[Cycle]:
    t, inference_input = given.performed_at, orjson.loads(given.payload)
    asking = []
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
        return f"returned {found!r:.80}; it must return {{{shown}}}" if wrong else not_json(found)

    return fault


scope_fault = _object_of(scope_key=str, scope=dict)
call_fault = _object_of(args=list, kwargs=dict)


def _forecast(validator: Slot, model_id: str, cycle: Cycle, answer: Answer, deployment: str | None) -> Forecast:
    """The answer as a fact: validated, and LATE when it came after the cycle's `answer_by`."""
    assert cycle.cut_off is not None and cycle.answer_by is not None
    arrived = cycle.cut_off + timedelta(seconds=answer.elapsed)
    status, output, meta = answer.status, None, {}
    if status == "SUCCESS":
        output, reason = _validated(validator, answer.output, cycle)
        if reason is not None:
            status, meta = "FAILED", {"reason": clean_text(reason), "raw": repr(answer.output)[:RAW_SHOWN]}
        elif arrived > cycle.answer_by:
            status = "LATE"
            allowed = (cycle.answer_by - cycle.cut_off).total_seconds()
            meta = {"reason": f"answered after {answer.elapsed:.3f} s, allowed were {allowed:g} s"}
    else:
        meta = {"reason": clean_text(answer.reason or "")}
    answered_at = arrived if answer.status == "SUCCESS" else None
    return Forecast(model_id, cycle, status, answer.exec_time_ms, output, cycle.cut_off, answered_at, deployment, meta)


def _validated(validator: Slot, given: Any, cycle: Cycle) -> tuple[dict[str, Any] | None, str | None]:
    """The output as the validator returns it, or why the answer fails."""
    try:
        output = validator(inference_output=given, scope=cycle.scope)
    except SlotFailure as failure:
        return None, describe(failure.__cause__) if failure.__cause__ else str(failure)
    if not isinstance(output, dict):
        return None, f"the validator returned a {type(output).__name__}, not an object"
    fault = not_json(output)
    return (None, fault) if fault else (output, None)


def _count(report: PredictReport, cycles: Sequence[Cycle], forecasts: Sequence[Forecast]) -> None:
    for cycle in cycles:
        report.performed += cycle.status == "PERFORMED"
        report.missed += cycle.status == "MISSED"
        report.planned += cycle.status == "planned"
    for forecast in forecasts:
        report.statuses[forecast.status] = report.statuses.get(forecast.status, 0) + 1
