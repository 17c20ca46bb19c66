"""What came true: one truth per cycle, from the tape at the moment it could be known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from coordinator_dagster.clock import Clock
from coordinator_dagster.competition import Competition
from coordinator_dagster.feeds.base import Feed, FeedError
from coordinator_dagster.orders import Order, Orders
from coordinator_dagster.stages.facts import Cycle, StageFailed, Truth, Unresolved
from coordinator_dagster.stages.ingest import fetch_missing, give_up
from coordinator_dagster.stages.numbers import json_fault
from coordinator_dagster.windows import Window
from slots.loader import Slot, SlotFailure
from slots.market import Series
from slots.tape import EPOCH, Tape, TapeSource
from slots.views import CyclePrediction

if TYPE_CHECKING:
    from coordinator_dagster.store.store import Store

GIVE_UP_AFTER = timedelta(hours=24)
NOT_YET = "the resolver has no truth yet"
KEPT = "its records have left the tape by age"


@dataclass
class ResolveReport:
    """Truths found, cycles VOID, and cycles that still wait for their data: the first of them, and why."""

    resolved: int = 0
    void: int = 0
    pending: int = 0
    pending_since: datetime | None = None
    reason: str | None = None


@dataclass
class _Court:
    """What the truths of some cycles are found with, and what was found."""

    slot: Slot
    store: Store
    feed: Feed
    clock: Clock
    live: bool
    orders: Orders
    series: Mapping[str, tuple[Series, ...]]
    source: TapeSource
    through: Mapping[str, datetime | None]
    truths: list[Truth] = field(default_factory=list)
    waiting: list[tuple[Cycle, str]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def resolve(
    competition: Competition, store: Store, feed: Feed, clock: Clock, windows: Sequence[Window], recover: bool = True
) -> ResolveReport:
    """The truths of these windows' cycles, and of earlier cycles whose truth falls in these windows.

    A cycle whose series are not complete through its `resolvable_at` stays pending. Missing data are fetched
    again (`recover`); when they are missing for good the cycle is VOID: at once over a fixed tape, else after a day.
    Raises StageFailed after storing the rest when the resolver raised on some.
    """
    court = _decide(competition, store, feed, clock, windows, last_chance=feed.fixed)
    truths, reason = court.truths, None
    due = [cycle for cycle, _ in court.waiting if cycle.resolvable_at <= clock.now()]
    if due and recover and not feed.fixed:
        reason = _recover(competition, court, due)  # it may take a minute: nobody waits for it
        court = _decide(competition, store, feed, clock, windows, last_chance=True)
        truths = truths + court.truths
    if not feed.fixed:  # after all has been tried, whether a cycle needs them or not
        give_up(competition, store, clock.now() - GIVE_UP_AFTER)
    if court.faults:
        raise StageFailed("ground truths", court.faults)
    return ResolveReport(
        resolved=sum(one.status == "RESOLVED" for one in truths),
        void=sum(one.status == "VOID" for one in truths),
        pending=len(court.waiting),
        pending_since=min((cycle.performed_at for cycle, _ in court.waiting), default=None),
        reason=reason or next((why for _, why in court.waiting), None),
    )


def _decide(
    competition: Competition, store: Store, feed: Feed, clock: Clock, windows: Sequence[Window], last_chance: bool
) -> _Court:
    """Find and store every truth that is there now; without the last chance a cycle whose data are missing waits."""
    version = competition.truth_version()
    with store.settling():
        cycles = store.truths.unresolved(windows, version)
        court = _court(competition, store, feed, clock, cycles)
        for one in cycles:
            _hear(court, one, last_chance)
        store.truths.add(court.truths, version)
    return court


def _court(competition: Competition, store: Store, feed: Feed, clock: Clock, cycles: Sequence[Unresolved]) -> _Court:
    schedule = store.schedule(competition)
    configs = schedule.configs()
    series = {
        name: tuple(
            feed.series(one.asset, one.kind, one.granularity) for one in competition.pack.series_of(configs[name])
        )
        for name in sorted({one.cycle.config_id for one in cycles})
    }
    every = sorted({one for own in series.values() for one in own})
    # Before the tape is read: what comes between the two is not in `source`, so it must not be in `through`.
    through = {name: store.tape.knowable_through(own) for name, own in series.items()}
    first = min((one.cycle.performed_at for one in cycles), default=EPOCH)
    last = max((one.cycle.resolvable_at for one in cycles), default=EPOCH)
    return _Court(
        slot=competition.slots("GROUND_TRUTH_RESOLVER")["GROUND_TRUTH_RESOLVER"],
        store=store,
        feed=feed,
        clock=clock,
        live=competition.settings.mode == "live",
        orders=schedule.orders,
        series=series,
        source=schedule.orders.corrected(store.tape.cached(every, first, last, 2)),
        through=through,
    )


def _hear(court: _Court, unresolved: Unresolved, last_chance: bool) -> None:
    """Decide the cycle, unless it waits for data that may come."""
    cycle, given_up = unresolved.cycle, unresolved.given_up
    order = court.orders.truth_order(cycle.config_id, cycle.performed_at)
    external = not court.series[cycle.config_id]
    if order and order.kind == "void":
        court.truths.append(Truth(cycle, "VOID", f"by the operator: {order.reason}", order=order.id))
        return
    if given_up and not order:
        court.truths.append(Truth(cycle, "VOID", given_up, external=external, given_up=True))
        return
    if unresolved.kept:
        court.truths.append(_kept(unresolved.kept, unresolved.kept_from))
        return
    try:
        truth = _find(court, cycle, order)
    except SlotFailure as failure:
        court.faults.append(f"{cycle.config_id} at {cycle.performed_at.isoformat()}: {failure}")
        return
    if isinstance(truth, str) and last_chance and (overdue := _overdue(court, cycle)):
        reason, number = f"{truth}; {overdue}", order.id if order else None
        truth = Truth(cycle, "VOID", reason, None, external, number, given_up=external or not court.feed.fixed)
    if isinstance(truth, str):
        court.waiting.append((cycle, truth))
    else:
        court.truths.append(truth)


def _kept(truth: Truth, version: str | None) -> Truth:
    """The truth that another version found, for this one, with the reason."""
    if truth.reason and KEPT in truth.reason:
        return truth
    kept = f"kept as version {version} has it: {KEPT}"
    return replace(truth, reason=f"{truth.reason}; {kept}" if truth.reason else kept)


def _find(court: _Court, cycle: Cycle, order: Order | None) -> Truth | str:
    """The cycle's truth, or what is missing for it."""
    series = court.series[cycle.config_id]
    through = court.through[cycle.config_id] if series else court.clock.now()
    if through is None or cycle.resolvable_at > through:
        if not series:
            return f"the truth from elsewhere is asked for from {cycle.resolvable_at.isoformat()} on"
        names = ", ".join(map(str, series))
        return f"{names}: complete through {through} only, the truth needs {cycle.resolvable_at.isoformat()}"
    view = CyclePrediction(
        cycle.scope_key or "",
        cycle.scope or {},
        cycle.performed_at,
        cycle.resolvable_at,
        cycle.config_id,
        {},
        partial(court.store.inputs.read, cycle.performed_at),
    )
    tape = Tape(court.source, cycle.resolvable_at, series)
    content = court.slot(prediction=view, tape=tape)
    if content is None:
        return _missing(tape, cycle)
    fault = json_fault(content) if isinstance(content, dict) else "it is not an object"
    if fault:
        raise SlotFailure(f"{court.slot.at}: the truth: {fault}; return JSON of finite numbers, or None")
    return Truth(cycle, "RESOLVED", None, content, external=not series, order=order.id if order else None)


def _overdue(court: _Court, cycle: Cycle) -> str | None:
    """Why a truth that is missing will not come any more; None: it may."""
    series = court.series[cycle.config_id]
    through = court.through[cycle.config_id]
    beyond = bool(series) and (through is None or cycle.resolvable_at > through)
    if court.feed.fixed and series:
        if beyond:
            return "the competition has ended" if court.orders.end() else None
        return "the tape has ended and does not hold it"
    if beyond and not court.live:
        return None  # a replay has not fetched that far
    late = court.clock.now() >= cycle.resolvable_at + GIVE_UP_AFTER
    return f"it did not come within {GIVE_UP_AFTER.total_seconds() / 3600:g} hours" if late else None


def _recover(competition: Competition, court: _Court, cycles: Sequence[Cycle]) -> str | None:
    """Ask the feed again for what these cycles lack; why that failed, if it did."""
    first = min(cycle.performed_at for cycle in cycles)
    last = max(cycle.resolvable_at for cycle in cycles)
    try:
        for series in sorted({one for cycle in cycles for one in court.series[cycle.config_id]}):
            fetch_missing(competition, court.store, court.feed, court.clock, series, (first - series.step, last))
    except FeedError as error:
        return f"missing data could not be fetched again: {error}"
    return None


def _missing(tape: Tape, cycle: Cycle) -> str:
    """Which record the default price rule misses, for people; the resolver may have other reasons."""
    if not tape.series:
        return NOT_YET
    moments = [
        at.isoformat()
        for at in (cycle.performed_at, cycle.resolvable_at)
        if tape.price(tape.series[0].asset, at) is None
    ]
    return f"{tape.series[0]} has no price at {' and '.join(moments)}" if moments else "the resolver found no truth"
