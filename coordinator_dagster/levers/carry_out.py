"""Give an order and do what follows from it."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from coordinator_dagster.errors import UserErrors
from coordinator_dagster.levers.request import Request, record_at, request_faults
from coordinator_dagster.replay import replay
from coordinator_dagster.runtime import Runtime
from coordinator_dagster.schedule import last_truth
from coordinator_dagster.windows import WINDOWS_AT_ONCE, stretches
from slots.tape import EPOCH

Span = tuple[datetime, datetime]


@dataclass
class Outcome:
    """The order's number, and what was done about it, in words."""

    order: int
    done: list[str] = field(default_factory=list)


def carry_out(runtime: Runtime, request: Request) -> Outcome:
    """Record the order and settle what it touches; UserErrors with every fault, and then nothing is written.

    The order and what it supersedes are one transaction. Killed after it, materializing the windows settles
    them as this would have.
    """
    if request.model is not None and request.model not in runtime.store.boards.models():
        runtime.store.cycles.sync_models(runtime.runner.models())  # it may not have answered yet
    if faults := request_faults(runtime, request):
        raise UserErrors(faults)
    at, detail = _effective_at(runtime, request), _detail(runtime, request)
    clock = runtime.clock  # it may have to be asked for over the network: not while others wait
    with runtime.store.database.transaction() as connection:
        runtime.store.settle_after(connection)
        given_at = None
        if request.kind == "correct" and runtime.competition.settings.mode == "live":
            # An input shows what was corrected by its cut-off: none is taken between this moment and the commit.
            runtime.store.tape.hold(connection)
            given_at = clock.now()
        order = runtime.store.orders.give(
            connection,
            request.kind,
            at,
            request.reason.strip(),
            request.by,
            until=request.until,
            model_id=request.model,
            config_id=request.config,
            detail=detail,
            given_at=given_at,
        )
        outcome, settled = Outcome(order), None
        if request.kind in ("void", "revise"):
            last = request.until or at
            runtime.store.orders.supersede(connection, order, request.config, at, last, resolvable_from=at)
            settled = (at, last + _longest_horizon(runtime))
        elif request.kind == "correct":
            settled = _supersede_corrected(runtime, connection, order, request)
        elif request.kind == "configs":
            new = runtime.store.configs.apply(connection, runtime.competition.pack, at)
            outcome.done.append(f"from {at.isoformat()} on: new versions {', '.join(new) or 'none'}")
    _follow_up(runtime, request, at, settled, outcome)
    return outcome


def _effective_at(runtime: Runtime, request: Request) -> datetime:
    """`at`; without one the mode's now, and for the end of the competition COMPETITION_END."""
    if request.at is not None:
        return request.at
    planned = runtime.competition.settings.competition_end
    return planned if request.kind == "end" and planned else runtime.clock.now()


def _detail(runtime: Runtime, request: Request) -> dict[str, Any]:
    if request.kind != "correct":
        return {}
    series = next(one for one in runtime.store.tape.series() if str(one) == request.series)
    record = record_at(runtime, series, request.at)
    assert record is not None
    values = request.values or runtime.store.tape.restated(record)
    return {"series": request.series, "values": values, "first_values": record.values}


def _supersede_corrected(runtime: Runtime, connection: Connection, order: int, request: Request) -> Span | None:
    """Every truth that may rest on the record: performed before the next record ended, resolved since its own."""
    series = next(one for one in runtime.store.tape.series() if str(one) == request.series)
    assert request.at is not None
    event_end = request.at + series.step
    following = runtime.store.tape.next_end(series, event_end) or runtime.clock.now()
    just_before = following - timedelta(microseconds=1)
    first = event_end - _longest_horizon(runtime)
    return runtime.store.orders.supersede(connection, order, None, first, just_before, resolvable_from=event_end)


def _follow_up(runtime: Runtime, request: Request, at: datetime, settled: Span | None, outcome: Outcome) -> None:
    if request.kind == "end":
        _close(runtime, at, outcome)
    elif request.kind in ("disqualify", "reinstate", "leave"):
        boards = runtime.store.boards.scored_windows(EPOCH, runtime.clock.now(), runtime.competition.score_version())
        windows = [one for start in boards if (one := runtime.competition.windows.at(start)).end >= at]
        if windows:
            runtime.rank(windows)
        outcome.done.append(f"boards ranked anew: {len(windows)}")
    elif settled:
        outcome.done.append(_settle_again(runtime, *settled))


def _settle_again(runtime: Runtime, first: datetime, last: datetime) -> str:
    """Truths and scores of the cycles from `first` to `last`, and every board that counts them."""
    grid, look_back = runtime.competition.windows, runtime.competition.pack.look_back
    windows = grid.between(first, last + timedelta(microseconds=1))
    for some in stretches(windows, WINDOWS_AT_ONCE):
        runtime.resolve(some)
        runtime.score(some)
    before = windows[0].start - timedelta(microseconds=1)
    version = runtime.competition.score_version()
    boards = runtime.store.boards.scored_windows(before, windows[-1].end + look_back, version)
    if boards:
        runtime.aggregate([grid.at(start) for start in boards])
        runtime.rank([grid.at(start) for start in boards])
    return f"settled {first.isoformat()} to {last.isoformat()} again; boards made anew: {len(boards)}"


def _close(runtime: Runtime, end: datetime, outcome: Outcome) -> None:
    """Run what is still open up to the end, and the boards up to the one that counts the last truth."""
    grid = runtime.competition.windows
    first = runtime.store.cycles.first_open(runtime.competition.truth_version()) or end
    last = last_truth(runtime.store.schedule(runtime.competition).configs().values(), end)
    windows = grid.between(min(first, end), grid.resolving(last).end)
    if not runtime.feed.fixed:
        windows = [window for window in windows if window.start < runtime.clock.now()]
    report = replay(runtime, windows, lambda done: None)
    outcome.done.append(
        f"closed {len(windows)} windows: {report.cycles} cycles performed, {report.resolved} resolved, "
        f"{report.void} void, {report.pending} pending"
    )
    board = runtime.store.boards.latest_leaderboard()
    if board:
        state = "final" if board.final else "interim: its last truths are not there yet; settle its window again then"
        outcome.done.append(f"the last board, at {board.computed_at.isoformat()}, is {state}")


def _longest_horizon(runtime: Runtime) -> timedelta:
    configs = runtime.store.schedule(runtime.competition).configs().values()
    return max(config.horizon for config in configs)
