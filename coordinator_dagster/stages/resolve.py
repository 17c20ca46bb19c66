"""What came true: one truth per cycle, from the tape at the moment it could be known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from coordinator_dagster.clock import Clock
from coordinator_dagster.competition import Competition
from coordinator_dagster.feeds.base import Feed
from coordinator_dagster.stages.facts import Cycle, StageFailed, Truth
from coordinator_dagster.stages.numbers import not_json
from coordinator_dagster.windows import Window
from slots.loader import Slot, SlotFailure
from slots.market import Series
from slots.tape import Tape, TapeSource
from slots.views import CyclePrediction

if TYPE_CHECKING:
    from coordinator_dagster.store.store import Store

GIVE_UP_AFTER = timedelta(hours=24)


@dataclass
class ResolveReport:
    """Truths found, cycles VOID, and cycles that still wait for their data, with the reason."""

    resolved: int = 0
    void: int = 0
    pending: int = 0
    reason: str | None = None


def resolve(
    competition: Competition, store: Store, feed: Feed, clock: Clock, windows: Sequence[Window]
) -> ResolveReport:
    """The truths of these windows' cycles, and of earlier cycles whose truth falls in these windows.

    A cycle whose series are not complete through its `resolvable_at` stays pending. One whose data are
    missing for good is VOID: at once over a fixed tape, else after a day. Raises StageFailed after storing
    the rest when the resolver raised on some.
    """
    slot = competition.slots("GROUND_TRUTH_RESOLVER")["GROUND_TRUTH_RESOLVER"]
    version = competition.truth_version()
    cycles = store.truths.unresolved(windows, version)
    report, truths, faults = ResolveReport(), [], []
    if not cycles:
        return report
    series = _series_by_config(competition, feed)
    through = {config: store.tape.complete_through(own) for config, own in series.items()}
    every = sorted({one for own in series.values() for one in own})
    source = store.tape.cached(every, cycles[0].performed_at, max(one.resolvable_at for one in cycles), 2)
    for cycle in cycles:
        own, complete = series[cycle.config_id], through[cycle.config_id]
        known_from = complete if own else clock.now()
        if known_from is None or cycle.resolvable_at > known_from:
            report.pending += 1
            report.reason = f"the series are complete through {known_from}, the next truth needs more"
            continue
        last_chance = (feed.fixed and bool(own)) or clock.now() >= cycle.resolvable_at + GIVE_UP_AFTER
        try:
            truth = _truth(slot, store, source, own, cycle, last_chance)
        except SlotFailure as failure:
            faults.append(f"{cycle.config_id} at {cycle.performed_at.isoformat()}: {failure}")
            continue
        if truth is None:
            report.pending += 1
            report.reason = "the data of a truth are missing and may still come"
            continue
        truths.append(truth)
        report.resolved += truth.status == "RESOLVED"
        report.void += truth.status == "VOID"
    store.truths.add(truths, version)
    if faults:
        raise StageFailed("ground truths", faults)
    return report


def _series_by_config(competition: Competition, feed: Feed) -> dict[str, tuple[Series, ...]]:
    return {
        config.id: tuple(
            feed.series(one.asset, one.kind, one.granularity) for one in competition.pack.series_of(config)
        )
        for config in competition.pack.scheduled_prediction_configs
    }


def _truth(
    slot: Slot, store: Store, source: TapeSource, series: tuple[Series, ...], cycle: Cycle, last_chance: bool
) -> Truth | None:
    """The cycle's truth; VOID when it is missing and this was the last chance; None: not yet."""
    view = CyclePrediction(
        cycle.scope_key or "",
        cycle.scope or {},
        cycle.performed_at,
        cycle.resolvable_at,
        cycle.config_id,
        {},
        partial(store.cycles.read_input, cycle.performed_at),
    )
    content = slot(prediction=view, tape=Tape(source, cycle.resolvable_at, series))
    if content is None:
        return Truth(cycle, "VOID", _missing(source, series, cycle)) if last_chance else None
    fault = not_json(content) if isinstance(content, dict) else "it is not an object"
    if fault:
        raise SlotFailure(f"{slot.at}: the truth: {fault}; return JSON of finite numbers, or None")
    return Truth(cycle, "RESOLVED", None, content)


def _missing(source: TapeSource, series: tuple[Series, ...], cycle: Cycle) -> str:
    """Which record the default price rule misses, for people; the resolver may have other reasons."""
    if not series:
        return f"no truth came within {GIVE_UP_AFTER}"
    tape = Tape(source, cycle.resolvable_at, series)

    def gone(at: datetime) -> bool:
        return tape.price(series[0].asset, at) is None

    moments = [at.isoformat() for at in (cycle.performed_at, cycle.resolvable_at) if gone(at)]
    return f"{series[0]} has no price at {' and '.join(moments)}" if moments else "the resolver found no truth"
