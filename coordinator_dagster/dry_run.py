"""All ten slots on a sample cycle, in memory: what would go wrong, before it does."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from coordinator_dagster.competition import Competition
from coordinator_dagster.packs import Pack, PredictionConfig
from coordinator_dagster.report.names import name_faults
from coordinator_dagster.stages.board import entries_fault, ranking_fault
from coordinator_dagster.stages.cycle import call_fault, scope_fault
from coordinator_dagster.stages.numbers import is_number, not_json
from coordinator_dagster.stages.report import report_schema_fault
from slots.contracts import SLOT_NAMES
from slots.loader import Slot, SlotErrors, SlotFailure
from slots.market import MarketRecord, Series, history_record
from slots.tape import MemorySource, Tape
from slots.views import CyclePrediction, ModelView, Rollup, Score, ScoredPrediction

NOW = datetime(2024, 1, 1, tzinfo=UTC)
BEFORE = timedelta(hours=4)
MODEL = "sample-model"
SHOWN = 160  # characters of an answer or a truth


@dataclass
class DryRun:
    """Every fault found, each once; and what the example answer scores, a line a config."""

    faults: list[str] = field(default_factory=list)
    scores: list[str] = field(default_factory=list)


@dataclass
class _Sample:
    """One cycle as it goes through the slots; each step adds what the next one needs."""

    competition: Competition
    slots: dict[str, Slot]
    series: tuple[Series, ...]
    source: MemorySource
    found: DryRun
    scopes: list[dict[str, Any]] = field(default_factory=list)

    def try_slot(self, name: str, check: Callable[[Any], str | None], hint: str = "", **offered: Any) -> Any:
        """What the slot returned when it passes the check; None, with a fault noted, otherwise.

        `hint`: what the fault may be due to instead of the slot.
        """
        if name not in self.slots:
            return None
        try:
            found = self.slots[name](**offered)
        except SlotFailure as failure:
            self.found.faults.append(f"{failure}{hint}")
            return None
        if fault := check(found):
            self.found.faults.append(f"{self.slots[name].at}: {fault}{hint}")
            return None
        return found


def dry_run(competition: Competition) -> DryRun:
    """Load all ten slots and put a sample cycle of each config through them."""
    slots, found = dict[str, Slot](), DryRun()
    for name in SLOT_NAMES:
        try:
            slots |= competition.slots(name)
        except SlotErrors as error:
            found.faults += error.faults
    series = sample_series(competition.pack)
    longest = max(config.horizon for config in competition.pack.configs)
    sample = _Sample(competition, slots, series, sample_tape(series, BEFORE, longest), found)
    given = _input(sample)
    for config in competition.pack.configs:
        _cycle(sample, config, given)
    _report(sample, _board(sample))
    found.faults = list(dict.fromkeys(found.faults))
    return found


def sample_series(pack: Pack) -> tuple[Series, ...]:
    """The pack's series, of a feed that is none."""
    return tuple(Series("sample", one.asset, one.kind, one.granularity) for one in pack.series)


def sample_tape(series: tuple[Series, ...], before: timedelta, after: timedelta) -> MemorySource:
    """A gentle wave from `before` NOW on to `after` it."""
    records: dict[Series, list[MarketRecord]] = {}
    for one in series:
        step = one.step or timedelta(seconds=1)
        moment, end = NOW - before, NOW + after
        own = records.setdefault(one, [])
        while moment + one.step <= end:
            price = 30_000 + 100 * math.sin(moment.timestamp() / 600)
            candle = {"open": price, "high": price + 1, "low": price - 1, "close": price, "volume": 1.0}
            own.append(history_record(one, moment, {"price": price} if one.kind == "tick" else candle))
            moment += step
    return MemorySource(records)


def _input(sample: _Sample) -> dict[str, Any] | None:
    pack = sample.competition.pack
    raw = sample.try_slot(
        "RAW_INPUT_PROVIDER",
        _object,
        now=NOW,
        tape=Tape(sample.source, NOW, sample.series, NOW + pack.input_wait),
        configs=[config.as_slot_config() for config in pack.configs],
        candles_window=sample.competition.settings.feed_candles_window,
    )
    return None if raw is None else sample.try_slot("INFERENCE_INPUT_BUILDER", _object, raw_input=raw, now=NOW)


def _cycle(sample: _Sample, config: PredictionConfig, given: dict[str, Any] | None) -> None:
    """Scope, call, answer, truth and score of one config; a step is tried when what it needs is there."""
    if given is None:
        return
    offered: dict[str, Any] = {"config": config.as_slot_config(), "inference_input": given, "now": NOW}
    envelope = sample.try_slot("PREDICTION_SCOPE_BUILDER", scope_fault, **offered)
    if envelope is None:
        return
    scope, pack = envelope["scope"], sample.competition.pack
    sample.scopes.append(scope)
    sample.try_slot("PREDICT_CALL_BUILDER", call_fault, **offered, scope=scope)
    output = sample.try_slot(
        "INFERENCE_OUTPUT_VALIDATOR",
        _object,
        hint=f"; it was given the pack's example_output {json.dumps(pack.example_output)}: set that to an answer "
        "that the contest accepts, or mend the slot",
        inference_output=pack.example_output,
        scope=scope,
    )
    cycle = CyclePrediction(envelope["scope_key"], scope, NOW, NOW + config.horizon, config.id, {}, lambda: given)
    names = set(pack.series_of(config))
    own = tuple(one for one, spec in zip(sample.series, pack.series, strict=True) if spec in names)
    truth = sample.try_slot(
        "GROUND_TRUTH_RESOLVER",
        _truth if own else _external_truth,
        prediction=cycle,
        tape=Tape(sample.source, cycle.resolvable_at, own),
    )
    if truth is None and not own:
        truth = pack.example_truth
    if output is not None and truth is not None:
        score = sample.try_slot("SCORING_FUNCTION", _score, prediction=output, ground_truth=truth, scope=scope)
        if score and score["success"]:
            _look_at(sample.found, pack, config, (output, truth, score["value"]))


def _look_at(found: DryRun, pack: Pack, config: PredictionConfig, made: tuple[Any, Any, float]) -> None:
    """Note what the example scores; a fault where absence would score better."""
    answer, truth, score = made
    more = "more is better" if pack.score_direction == "desc" else "less is better"
    shown = f"{json.dumps(answer):.{SHOWN}}, truth {json.dumps(truth):.{SHOWN}}"
    found.scores.append(f"{config.id}: {shown}: score {score:g} ({more}; the worst score is {pack.worst_score:g})")
    if score < pack.worst_score if pack.score_direction == "desc" else score > pack.worst_score:
        found.faults.append(
            f"worst_score = {pack.worst_score:g}: the example answer scores {score:g}, which is worse, since {more} "
            f"(score_direction {pack.score_direction}): absence would pay; mend one of them, or the sign of the score"
        )


def _board(sample: _Sample) -> list[dict[str, Any]]:
    """The sample's entries; none where the aggregator gave none."""
    config = sample.competition.pack.configs[0]
    start, scope = NOW - timedelta(hours=1), config.scope_template
    rollup = Rollup(MODEL, config.scope_key, start, NOW, 60, 60, 60, 0, -60.0, 60.0)
    scored = ScoredPrediction(MODEL, config.scope_key, scope, "SUCCESS", start, {}, Score(-1.0, True, None, NOW))
    models = {MODEL: ModelView("Sample model", "Sample player")}
    entries = sample.try_slot(
        "MODEL_SCORE_AGGREGATOR",
        lambda found: entries_fault(found, models),
        scored_predictions=[scored],
        rollups=[rollup],
        models=models,
        now=NOW,
    )
    if entries:
        for entry in entries:
            entry["score"]["ranking"].setdefault("direction", sample.competition.pack.score_direction)
        sample.try_slot("LEADERBOARD_RANKER", lambda found: ranking_fault(found, entries), entries=entries)
    return entries or []


def _report(sample: _Sample, entries: list[dict[str, Any]]) -> None:
    schema = sample.try_slot("REPORT_SCHEMA_PROVIDER", report_schema_fault)
    if schema and entries:
        at = sample.slots["REPORT_SCHEMA_PROVIDER"].at
        sample.found.faults += [f"{at}: {fault}" for fault in name_faults(schema, entries, sample.scopes)]


def _object(found: Any) -> str | None:
    return not_json(found) if isinstance(found, dict) else f"returned {found!r:.80}; it must return an object"


def _truth(found: Any) -> str | None:
    return "returned None though the tape is complete; it must find the truth" if found is None else _object(found)


def _external_truth(found: Any) -> str | None:
    return None if found is None else _object(found)


def _score(found: Any) -> str | None:
    if not isinstance(found, dict) or "value" not in found or "success" not in found:
        return f'returned {found!r:.80}; it must return {{"value", "success", "failed_reason"}}'
    if found["success"] and not is_number(found["value"]):
        return f"value is {found['value']!r}, not a finite number"
    return None
