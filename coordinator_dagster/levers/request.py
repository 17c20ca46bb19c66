"""What an operator asks for, and everything that is wrong with it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from coordinator_dagster.faults import nearest
from coordinator_dagster.orders import OrderKind
from coordinator_dagster.runtime import Runtime
from slots.market import MarketRecord, Series, history_record

SETTLING = ("end", "disqualify", "reinstate", "leave", "void", "revise", "correct")


@dataclass(frozen=True)
class Request:
    """An order to be given. `at` is an instant; for `correct` the record's `ts_event`."""

    kind: OrderKind
    reason: str
    by: str
    at: datetime | None = None
    until: datetime | None = None
    model: str | None = None
    config: str | None = None
    series: str | None = None
    values: dict[str, float] | None = None


def request_faults(runtime: Runtime, request: Request) -> list[str]:
    """All that is wrong with it; nothing is written."""
    faults = [] if request.reason.strip() else ["--reason is empty; say why: it is kept with the order"]
    if request.at is None and request.kind in ("void", "revise", "correct", "configs"):
        return [*faults, "--at is missing; give an instant, such as 2023-03-24T12:00Z"]
    return faults + _other_slots(runtime, request) + _CHECKS[request.kind](runtime, request)


def _other_slots(runtime: Runtime, request: Request) -> list[str]:
    """What an order settles or ranks anew, it does by the slots of this folder: live, these may not be at work yet."""
    if request.kind not in SETTLING or runtime.competition.settings.mode != "live":
        return []
    shown, here = runtime.store.settled.shown_version(), runtime.competition.score_version()
    if shown in (None, here):
        return []
    return [
        f"the slots and rules in this folder are of version {here}, the board that is shown is of {shown}: put them "
        "back, or bring them in and wait until the look-back is scored by them, when the board switches"
    ]


def _end(runtime: Runtime, request: Request) -> list[str]:
    if order := runtime.store.orders.read().end():
        return [f"the competition has ended at {order.effective_at.isoformat()} by order {order.id}: {order.reason}"]
    return _after_what_ended(runtime, request)


def _pause(runtime: Runtime, request: Request) -> list[str]:
    at = request.at or runtime.clock.now()
    standing, wanted = runtime.store.orders.read().pause(at), request.kind == "resume"
    if bool(standing) == wanted:
        return []
    if standing:
        return [f"paused since {standing.effective_at.isoformat()} by order {standing.id}: {standing.reason}"]
    return [f"nothing is paused at {at.isoformat()}; `coordinator order list` shows the pauses"]


def _model(runtime: Runtime, request: Request) -> list[str]:
    models = runtime.store.boards.models()
    if request.model not in models:
        near = nearest(request.model or "", models)
        return [f"model {request.model}: not known{near}; the models are {', '.join(models) or 'none yet'}"]
    out = runtime.store.orders.read().out(request.model, request.at or runtime.clock.now())
    if request.kind == "reinstate":
        return [] if out else [f"model {request.model}: takes part already; nothing to reinstate"]
    return [f"model {request.model}: {out}; `coordinator order reinstate` lets it take part again"] if out else []


def _cycles(runtime: Runtime, request: Request) -> list[str]:
    assert request.at is not None
    configs = runtime.store.schedule(runtime.competition).configs()
    if request.config is not None and request.config not in configs:
        return [f"config {request.config}: not known{nearest(request.config, configs)}; known: {', '.join(configs)}"]
    last = request.until or request.at
    if last < request.at:
        return [f"--until={last.isoformat()} is before --at={request.at.isoformat()}; swap them"]
    if runtime.store.cycles.performed_between(request.config, request.at, last):
        return []
    return [f"no cycle was performed from {request.at.isoformat()} to {last.isoformat()}; see the table `cycles`"]


def _revise(runtime: Runtime, request: Request) -> list[str]:
    assert request.at is not None
    return _cycles(runtime, request) or _left_the_tape(runtime, request, request.at)


def _left_the_tape(runtime: Runtime, request: Request, first: datetime) -> list[str]:
    """Truths from the instant `first` on are to be found anew: what those of the market rest on must be there."""
    since = runtime.store.expiry.cycles_from()
    configs = runtime.store.schedule(runtime.competition).configs()
    chosen = [one for name, one in configs.items() if request.config in (None, name)]
    if since is None or first >= since or not any(map(runtime.competition.pack.series_of, chosen)):
        return []
    return [
        f"--at={request.at}: the records of cycles before {since.isoformat()} have left the tape by age "
        "(MARKET_RECORD_TTL_DAYS), so their truths stay as they are; choose that instant or a later one"
    ]


def _correct(runtime: Runtime, request: Request) -> list[str]:
    known = {str(one): one for one in runtime.store.tape.series()}
    if request.series not in known:
        there = ", ".join(known) or "none yet"
        return [f"series {request.series}: not on the tape{nearest(request.series or '', known)}; it has {there}"]
    assert request.at is not None
    first = first_resting_on(runtime, known[request.series], request.at)
    if gone := _left_the_tape(runtime, request, first):
        return gone
    record = record_at(runtime, known[request.series], request.at)
    if record is None:
        return [f"{request.series} has no record at ts_event {request.at}; a candle's ts_event is its open time"]
    if request.values is None:
        restated = runtime.store.tape.restated(record)
        return [] if restated else ["--values is missing, and the venue has not restated this record; give the values"]
    try:
        history_record(record.series, record.ts_event, request.values)
    except ValueError as fault:
        return [f"--values: {fault}"]
    return []


def record_at(runtime: Runtime, series: Series, ts_event: datetime | None) -> MarketRecord | None:
    """The record of that series and `ts_event`, as it was first known."""
    if ts_event is None:
        return None
    found = runtime.store.tape.upto(series, ts_event + series.step, 1)
    return found[0] if found and found[0].ts_event == ts_event else None


def first_resting_on(runtime: Runtime, series: Series, ts_event: datetime) -> datetime:
    """The first instant of a cycle whose truth may rest on the record of that time."""
    horizons = [one.horizon for one in runtime.store.schedule(runtime.competition).configs().values()]
    return ts_event + series.step - max(horizons)


def _configs(runtime: Runtime, request: Request) -> list[str]:
    if not runtime.store.configs.changes(runtime.competition.pack):
        return [f"the pack {runtime.competition.pack.id} has no changed config; edit it, or spec.json, first"]
    return _after_what_ended(runtime, request)


def _after_what_ended(runtime: Runtime, request: Request) -> list[str]:
    last = runtime.store.cycles.last_ended()
    if request.at is None or last is None or last < request.at:
        return []
    return [f"--at={request.at.isoformat()}: cycles have ended through {last.isoformat()}; choose a later instant"]


_CHECKS: dict[OrderKind, Callable[[Runtime, Request], list[str]]] = {
    "end": _end,
    "pause": _pause,
    "resume": _pause,
    "disqualify": _model,
    "reinstate": _model,
    "leave": _model,
    "void": _cycles,
    "revise": _revise,
    "correct": _correct,
    "configs": _configs,
}
