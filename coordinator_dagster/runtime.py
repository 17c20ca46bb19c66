"""What the stages work with, opened from a competition: store, feed, runner and clock."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from coordinator_dagster.clock import Clock, FixedClock, open_clock
from coordinator_dagster.competition import Competition
from coordinator_dagster.feeds.base import Feed
from coordinator_dagster.feeds.registry import create_from_env
from coordinator_dagster.feeds.stored import StoredFeed
from coordinator_dagster.runners.base import Runner
from coordinator_dagster.runners.choice import open_runner
from coordinator_dagster.runners.local import LocalRunner
from coordinator_dagster.stages import archive, board, emission, expire, ingest, inputs, predict, resolve, score
from coordinator_dagster.stages.ingest import IngestReport, contest_series
from coordinator_dagster.store.store import Store, open_as_it_stands, open_store
from coordinator_dagster.windows import Window


def open_feed(competition: Competition, clock: Clock | None = None, patience: float | None = None) -> Feed:
    """The feed of FEED_PROVIDER, for FEED_ASSETS or else for the pack's; UserError for what it lacks.

    Where neither names an asset there is no market, and FEED_PROVIDER has nothing to provide. `patience`, in
    seconds, instead of FEED_PATIENCE_SECONDS.
    """
    settings = competition.settings
    assets = settings.feed_assets or sorted({one.asset for one in competition.pack.series})
    provider = settings.feed_provider if assets else "none"
    chosen = {
        "feed_assets": assets,
        "feed_provider": provider,
        "feed_patience_seconds": patience or settings.feed_patience_seconds,
    }
    return create_from_env(settings.model_copy(update=chosen), clock or open_clock(settings.clock_url))


@dataclass
class Runtime:
    """One competition, running. The feed and the models are opened when they are first needed."""

    competition: Competition
    store: Store

    @cached_property
    def _present(self) -> Clock:
        return open_clock(self.competition.settings.clock_url)

    @cached_property
    def feed(self) -> Feed:
        if self.competition.settings.feed_provider == StoredFeed.name:
            return StoredFeed(self.store.tape)
        return open_feed(self.competition, self._present)

    @cached_property
    def clock(self) -> Clock:
        """The machine's clock, or the one at CLOCK_URL; in a replay over a tape that has ended, the tape's end."""
        if self.competition.settings.mode == "live" or not self.feed.fixed:
            return self._present
        ends = [self.feed.known_through(one) for one in contest_series(self.competition, self.feed)]
        return FixedClock(min(ends)) if ends else self._present

    @cached_property
    def runner(self) -> Runner:
        """What MODEL_RUNNER names; UserErrors with all that it lacks."""
        return open_runner(self.competition, self.store.cycles.participants)

    @property
    def confinement(self) -> dict[str, str] | None:
        """The layers that the models do not have, and why; None where no local ones were started here."""
        runner = self.__dict__.get("runner")
        return runner.missing if isinstance(runner, LocalRunner) else None

    def ingest(self, windows: Sequence[Window], refetch: bool = True) -> IngestReport:
        return ingest.ingest(self.competition, self.store, self.feed, self.clock, windows, refetch)

    def heal(self) -> IngestReport:
        return ingest.heal(self.competition, self.store, self.feed, self.clock)

    def build_inputs(self, windows: Sequence[Window]) -> inputs.InputsReport:
        return inputs.build_inputs(self.competition, self.store, self.feed, self.clock, windows)

    def predict(self, windows: Sequence[Window]) -> predict.PredictReport:
        return predict.predict(self.competition, self.store, self.runner, self.clock, windows)

    def resolve(self, windows: Sequence[Window], recover: bool = True) -> resolve.ResolveReport:
        return resolve.resolve(self.competition, self.store, self.feed, self.clock, windows, recover)

    def score(self, windows: Sequence[Window]) -> score.ScoreReport:
        with self.store.settling():
            return score.score(self.competition, self.store, windows)

    def aggregate(self, windows: Sequence[Window]) -> board.BoardReport:
        with self.store.settling():
            return board.aggregate(self.competition, self.store, windows)

    def rank(self, windows: Sequence[Window], interim: bool = False) -> board.BoardReport:
        with self.store.settling():
            return board.rank(self.competition, self.store, windows, interim)

    def emit(self, days: Sequence[Window] | None = None) -> emission.EmissionReport:
        return emission.emit(self.competition, self.store, self.clock, days)

    def archive(self, days: Sequence[date]) -> archive.ArchiveReport:
        with self.store.archive.alone():
            return archive.archive(self.competition, self.store, days)

    def expire(self, progress: Callable[[int], None] = lambda done: None) -> expire.ExpireReport:
        return expire.expire(self.competition, self.store, self.feed, self.clock, progress)

    def close(self) -> None:
        if "runner" in self.__dict__:
            self.runner.close()
        self.store.close()


@contextmanager
def open_runtime(competition: Competition, as_it_stands: bool = False) -> Iterator[Runtime]:
    """The runtime, closed again at the end: no process and no connection is left.

    A changed pack is refused, but for the order that makes it stand: `as_it_stands`.
    """
    runtime = Runtime(competition, (open_as_it_stands if as_it_stands else open_store)(competition))
    try:
        yield runtime
    finally:
        runtime.close()
