"""Ask the models: each instant's cycles in order, a window at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from coordinator_dagster.clock import Clock
from coordinator_dagster.competition import Competition
from coordinator_dagster.orders import Orders
from coordinator_dagster.packs import PredictionConfig
from coordinator_dagster.runners.base import Call, Runner
from coordinator_dagster.stages.cycle import ASKING_SLOTS, answered, missed, prepare, said
from coordinator_dagster.stages.facts import Cycle, Forecast
from coordinator_dagster.windows import Window

if TYPE_CHECKING:
    from coordinator_dagster.store.store import Store

CLOSING = timedelta(minutes=4)  # so long after its end a window is its live run's
NOBODY_RAN_IT = "no live run performed it before its window ended"


@dataclass
class PredictReport:
    """Cycles performed now, ended before, missed, still planned, left to the live run; and forecasts by status."""

    performed: int = 0
    kept: int = 0
    missed: int = 0
    planned: int = 0
    left: int = 0
    statuses: dict[str, int] = field(default_factory=dict)


def predict(
    competition: Competition, store: Store, runner: Runner, clock: Clock, windows: Sequence[Window]
) -> PredictReport:
    """Perform the cycles of these windows that have an input; nothing that has ended is asked again.

    The cycles of a pause are MISSED. Models that are suspended, disqualified or gone have no say. In a live
    competition only a live run asks: the cycles of a window that is over are MISSED, those of the others are left to
    it.
    """
    live = competition.settings.mode == "live"
    report, schedule = PredictReport(), store.schedule(competition)
    store.cycles.sync_models(runner.models())
    for window in windows:
        ended = store.cycles.ended(window)
        due = [(t, config) for t, config in schedule.due(window) if (config.id, t) not in ended]
        report.kept += len(ended)
        if not due or (live and window.end + CLOSING > clock.now()):
            report.left += len(due)
            continue
        over = NOBODY_RAN_IT if live else None
        why = {t: f"paused: {pause.reason}" if (pause := schedule.orders.pause(t)) else over for t, _ in due}
        cycles = [missed(config, t, reason) for t, config in due if (reason := why[t])]
        rest = [(t, config) for t, config in due if not why[t]]
        performed, forecasts = _perform(competition, store, runner, schedule.orders, window, rest)
        if forecasts and window != windows[-1]:
            runner.fresh(wait=False)  # for the next window, while this one is stored
        store.cycles.add(window, cycles + performed, forecasts)
        _count(report, cycles + performed, forecasts)
    return report


def _perform(
    competition: Competition,
    store: Store,
    runner: Runner,
    orders: Orders,
    window: Window,
    due: Sequence[tuple[datetime, PredictionConfig]],
) -> tuple[list[Cycle], list[Forecast]]:
    inputs, joined = store.inputs.of(window) if due else {}, store.cycles.joined()
    cycles: list[Cycle] = []
    forecasts: list[Forecast] = []
    slots = competition.slots(*ASKING_SLOTS)
    suspensions, stored = competition.suspensions(window), store.cycles.said(window) if inputs else {}
    if inputs:
        runner.fresh()
        store.cycles.sync_models(runner.models())  # some may have come since
    by_instant: dict[datetime, list[PredictionConfig]] = {}
    for t, config in due:
        by_instant.setdefault(t, []).append(config)
    for t, configs in by_instant.items():
        if t not in inputs:
            cycles += [_without_input(one, t, orders) for one in configs]
            continue
        for earlier in [one for one in stored if one < t]:  # performed when part of the window was run before
            suspensions.tell(earlier, stored.pop(earlier))
        models = runner.models()
        suspended = suspensions.at(t, {model.id: model.deployment for model in models})
        asking = prepare(competition.pack, slots, inputs[t], configs)
        calls = [Call(**(one.call or {})) for one in asking]
        skipped = {*suspended, *orders.without((one.id for one in models), t)}
        answers = runner.ask(inputs[t].payload, calls, competition.timeout(configs), skipped)
        new = answered(slots["INFERENCE_OUTPUT_VALIDATOR"], asking, answers, models, orders, joined, suspended)
        suspensions.tell(t, [*stored.pop(t, []), *said(new)])
        cycles += asking
        forecasts += new
    return cycles, forecasts


def _without_input(config: PredictionConfig, t: datetime, orders: Orders) -> Cycle:
    if orders.end():
        return missed(config, t, "the competition ended before its input was there")
    return Cycle(config.id, t, t + config.horizon, "planned", "its input is not there yet")


def _count(report: PredictReport, cycles: Sequence[Cycle], forecasts: Sequence[Forecast]) -> None:
    for cycle in cycles:
        report.performed += cycle.status == "PERFORMED"
        report.missed += cycle.status == "MISSED"
        report.planned += cycle.status == "planned"
    for forecast in forecasts:
        report.statuses[forecast.status] = report.statuses.get(forecast.status, 0) + 1
