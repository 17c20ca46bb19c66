"""Run the contest's own loop over a recorded tape, with the participant's models and a store in memory."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from coordinator_dagster.backtest.memory_store import MemoryStore
from coordinator_dagster.backtest.own_models import Models, OwnModels
from coordinator_dagster.backtest.private import Public, without
from coordinator_dagster.backtest.result import Backtest
from coordinator_dagster.backtest.rows import forecasts
from coordinator_dagster.clock import Clock, FixedClock
from coordinator_dagster.competition import Competition
from coordinator_dagster.errors import UserError
from coordinator_dagster.feeds.base import Feed
from coordinator_dagster.runners.base import Runner
from coordinator_dagster.stages.board import aggregate, rank
from coordinator_dagster.stages.ingest import contest_series
from coordinator_dagster.stages.inputs import build_inputs
from coordinator_dagster.stages.predict import predict
from coordinator_dagster.stages.resolve import resolve
from coordinator_dagster.stages.score import score
from coordinator_dagster.windows import WINDOWS_AT_ONCE, Window, stretches

if TYPE_CHECKING:
    from coordinator_dagster.store.store import Store


def backtest(
    competition: Competition,
    models: Models,
    feed: Feed,
    windows: Sequence[Window],
    private: Collection[str] = frozenset(),
    progress: Callable[[int], None] = lambda done: None,
) -> Backtest:
    """Every stage over these windows, a day's worth at a time; `progress` is told how many are done.

    `models`: a folder of submissions, or by id a class or a submission's folder. `feed`: a tape that has ended; it is
    read from `competition.tape_start` on. `private`: the slots that the operator keeps to himself. Raises UserError for
    what the participant can put right, and what the stages raise: SlotErrors, SlotFailure, StageFailed.
    """
    public = without(_replayed(competition), private)
    competition = public.competition
    clock = _end_of_tape(competition, feed)
    runner = OwnModels(models, competition.settings.model_base_classname)
    memory, waiting = MemoryStore(competition, feed, clock), list[str]()
    for some in stretches(windows, WINDOWS_AT_ONCE):
        memory.tape.read(some[-1].end)
        waiting = _do(public, memory, feed, runner, clock, some)
        memory.forget(some[-1].end, public.resolves)
        progress(len(some))
    entries, final = memory.boards.last() or (None, False)
    return Backtest(forecasts(memory.tables), entries, final, public.left_out, waiting)


def _do(
    public: Public, memory: MemoryStore, feed: Feed, runner: Runner, clock: Clock, windows: Sequence[Window]
) -> list[str]:
    """The stages in their order, as far as their slots are known; what still waits, and why, for people."""
    competition, store = public.competition, cast("Store", memory)
    reasons = [build_inputs(competition, store, feed, clock, windows).reason]
    predict(competition, store, runner, clock, windows)
    if public.resolves:
        reasons.append(resolve(competition, store, feed, clock, windows).reason)
    if public.scores:
        score(competition, store, windows)
    if public.ranks:
        aggregate(competition, store, windows)
        rank(competition, store, windows)
    return [reason for reason in reasons if reason]


def _replayed(competition: Competition) -> Competition:
    """The competition as one that is replayed from a tape, whatever its own mode and feed are."""
    chosen = {"mode": "replay", "feed_provider": "replay"}
    return replace(competition, settings=competition.settings.model_copy(update=chosen))


def _end_of_tape(competition: Competition, feed: Feed) -> Clock:
    """A clock that stands at the end of the tape; UserError where there is none."""
    series = contest_series(competition, feed)
    if not feed.fixed or not series:
        raise UserError(f"a backtest needs a recorded tape of the contest's series, and {feed.name} is none")
    return FixedClock(min(feed.known_through(one) for one in series))
