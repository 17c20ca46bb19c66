"""What every model is given at an instant: built from the tape as of then, stored once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from coordinator_dagster.clock import Clock
from coordinator_dagster.competition import Competition
from coordinator_dagster.feeds.base import Feed
from coordinator_dagster.schedule import Schedule
from coordinator_dagster.stages.facts import StoredInput
from coordinator_dagster.stages.ingest import contest_series
from coordinator_dagster.stages.numbers import to_json
from coordinator_dagster.windows import Window
from slots.loader import Slot, SlotFailure
from slots.market import Series
from slots.tape import Tape, TapeSource

if TYPE_CHECKING:
    from coordinator_dagster.store.store import Store


@dataclass
class InputsReport:
    """Inputs built now, there before, and instants that still wait for their data, with the reason."""

    built: int = 0
    kept: int = 0
    waiting: int = 0
    reason: str | None = None


def build_inputs(
    competition: Competition, store: Store, feed: Feed, clock: Clock, windows: Sequence[Window]
) -> InputsReport:
    """The input of each due instant in these windows that is complete on the tape; without series, that has come.

    None in a live competition: there its live run builds them. Raises SlotFailure when a slot raises or gives what
    is not JSON of finite numbers.
    """
    slots = competition.slots("RAW_INPUT_PROVIDER", "INFERENCE_INPUT_BUILDER")
    series = contest_series(competition, feed)
    through = store.tape.knowable_through(series) if series else clock.now()
    schedule = store.schedule(competition)
    report = InputsReport()
    taken_over = competition.settings.feed_provider == "stored"  # of a live competition: what it cut off, nothing else
    for window in windows:
        kept = store.inputs.instants(window)
        live = competition.settings.mode == "live"
        due = sorted(kept) if live else _due_instants(schedule, window, store.cycles.ended(window))
        lacking = [t for t in due if t not in kept]
        cut_offs = store.inputs.cut_offs(window) if lacking else {}
        come = [t for t in lacking if through is not None and t <= through]
        ready = [t for t in come if t in cut_offs or not taken_over]
        report.kept += len(kept)
        report.waiting += len(lacking) - len(ready)
        if ready:
            look_back = competition.settings.feed_candles_window + 1
            source = store.tape.cached(series, window.start, window.end, look_back)
            cut_offs = {t: t + competition.pack.input_wait for t in ready} | cut_offs
            store.inputs.add([build_input(competition, schedule, slots, source, series, t, cut_offs[t]) for t in ready])
            report.built += len(ready)
    if report.waiting:
        report.reason = waiting_for(series, through)
    return report


def _due_instants(schedule: Schedule, window: Window, ended: set[tuple[str, datetime]]) -> list[datetime]:
    """The instants of the window at which some config is to be asked: it has not ended and nothing is paused."""
    return sorted(
        {t for t, config in schedule.due(window) if (config.id, t) not in ended and not schedule.orders.pause(t)}
    )


def waiting_for(series: Sequence[Series], through: datetime | None) -> str:
    """Why later instants are not ready, for people."""
    names = ", ".join(map(str, series))
    if not series:
        return f"it is {through}; later instants are still to come"
    if through is None:
        return f"{names}: not ingested contiguously from the competition's start; materialize market_records"
    return f"{names}: complete through {through.isoformat()} only; later records have not come"


def build_input(
    competition: Competition,
    schedule: Schedule,
    slots: Mapping[str, Slot],
    source: TapeSource,
    series: tuple[Series, ...],
    now: datetime,
    cut_off: datetime,
) -> StoredInput:
    """The payload of the instant `now`, of what had arrived by the cut-off; SlotFailure when there is none."""
    raw = slots["RAW_INPUT_PROVIDER"](
        now=now,
        tape=Tape(schedule.orders.corrected(source, cut_off), now, series, cut_off),
        configs=[config.as_slot_config() for config in schedule.standing(now)],
        candles_window=competition.settings.feed_candles_window,
    )
    slot = slots["INFERENCE_INPUT_BUILDER"]
    payload = slot(raw_input=raw, now=now)
    try:
        if not isinstance(payload, dict):
            raise ValueError(f"it is a {type(payload).__name__}, not an object")
        return StoredInput(now, cut_off, to_json(payload))
    except ValueError as fault:
        raise SlotFailure(
            f"{slot.at}: at {now.isoformat()} the input: {fault}; return JSON of finite numbers"
        ) from None
