"""The store that the stages write to in a backtest: what they ask of the database, in memory.

It is a fresh one, of a competition without an operator's orders, and it goes with the process.
"""

from contextlib import AbstractContextManager, nullcontext
from datetime import datetime

from coordinator_dagster.backtest.memory_asked import MemoryCycles, MemoryInputs
from coordinator_dagster.backtest.memory_boards import MemoryBoards
from coordinator_dagster.backtest.memory_settled import MemoryScores, MemoryTruths
from coordinator_dagster.backtest.memory_tape import MemoryTape
from coordinator_dagster.backtest.tables import Tables
from coordinator_dagster.clock import Clock
from coordinator_dagster.competition import Competition
from coordinator_dagster.feeds.base import Feed
from coordinator_dagster.orders import Orders
from coordinator_dagster.schedule import Schedule, Term
from coordinator_dagster.stages.ingest import contest_series


class MemoryStore:
    """Its parts are named, and answer, as those of `coordinator_dagster.store.store.Store`."""

    def __init__(self, competition: Competition, feed: Feed, clock: Clock) -> None:
        self.tables = Tables(competition.windows)
        self.tape = MemoryTape(feed, contest_series(competition, feed), competition.tape_start)
        self.inputs = MemoryInputs()
        self.cycles = MemoryCycles(self.tables)
        self.truths = MemoryTruths(self.tables)
        self.scores = MemoryScores(self.tables, clock)
        self.boards = MemoryBoards(self.tables)

    def schedule(self, competition: Competition) -> Schedule:
        """What is due when: the pack's configs, from the competition's start to its end."""
        end = competition.settings.competition_end
        return Schedule([Term(config, competition.start, end) for config in competition.pack.configs], Orders())

    def settling(self) -> AbstractContextManager[None]:
        """Nobody else settles."""
        return nullcontext()

    def forget(self, before: datetime, truths_to_come: bool) -> None:
        """Inputs of instants before that will not be read again: a truth may still need its cycle's."""
        waiting = self.tables.unresolved if truths_to_come else {}
        self.inputs.forget(min([before, *(t for t, _ in waiting)]))
