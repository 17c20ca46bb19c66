"""The two ways to the tape, as they run in production: listening to the venue, and asking it for ranges."""

import asyncio
import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

from coordinator_dagster.feeds.base import FeedError
from coordinator_dagster.live.listening import Completeness, listen
from coordinator_dagster.live.patience import patiently
from coordinator_dagster.runtime import Runtime
from coordinator_dagster.stages.ingest import contest_series
from coordinator_dagster.windows import Window
from tests.faults.plan import Plan
from tests.faults.venue import Venue
from tests.live.telling import Kept

HEAL_SECONDS = 0.6  # real ones, between two looks at the gaps


@dataclass
class Listening:
    """`listen`, with the gaps healed as a live run does it; restarted when it is told."""

    runtime: Runtime
    tell: Kept = field(default_factory=Kept)
    _task: asyncio.Task[None] | None = None

    async def run(self, end: asyncio.Event) -> None:
        """Until `end` is set; the errors of what ran are raised."""
        with ThreadPoolExecutor(1) as writer, ThreadPoolExecutor(1) as healer:
            healing = asyncio.create_task(self._heal(healer))
            try:
                while not end.is_set():
                    self._task = asyncio.create_task(self._listen(writer))
                    stopped = asyncio.create_task(end.wait())
                    await asyncio.wait({self._task, stopped, healing}, return_when=asyncio.FIRST_COMPLETED)
                    stopped.cancel()
                    self.restart()
                    with suppress(asyncio.CancelledError):
                        await self._task
                    if healing.done():
                        healing.result()
            finally:
                healing.cancel()
                with suppress(asyncio.CancelledError):
                    await healing

    def restart(self) -> None:
        if self._task:
            self._task.cancel()

    async def _listen(self, writer: ThreadPoolExecutor) -> None:
        series = contest_series(self.runtime.competition, self.runtime.feed)
        await listen(self.runtime, Completeness(series), self.tell, writer)

    async def _heal(self, healer: ThreadPoolExecutor) -> None:
        while True:
            await asyncio.sleep(HEAL_SECONDS)
            try:
                await patiently(self.tell, healer, self.runtime.heal)
            except FeedError as error:
                self.tell.problem(f"gaps could not be filled: {error}")


@dataclass
class Asking:
    """`ingest` by REST, over windows in random order, started again where the feed fails."""

    runtime: Runtime
    windows: list[Window]
    dice: random.Random
    tell: Kept = field(default_factory=Kept)

    async def run(self, end: asyncio.Event) -> None:
        with ThreadPoolExecutor(1) as asker:
            while not end.is_set():
                await asyncio.sleep(self.dice.uniform(0.1, 0.8))
                try:
                    await patiently(self.tell, asker, self._ask)
                except FeedError as error:
                    self.tell.problem(str(error))

    def _ask(self) -> None:
        first = self.dice.randrange(len(self.windows))
        last = self.dice.randint(first, len(self.windows) - 1)
        refetch, heal = self.dice.random() < 0.3, self.dice.random() < 0.3
        self.runtime.ingest(self.windows[first : last + 1], refetch)
        if heal:
            self.runtime.heal()


async def strike(plan: Plan, venue: Venue, listening: Listening, began: float) -> None:
    """Inject each fault at its time, and heal it at its time; `began`: the loop's time when the clock started."""
    loop = asyncio.get_running_loop()
    moments = [(one.begin, True, one) for one in plan.faults] + [(one.end, False, one) for one in plan.faults]
    for at, begins, fault in sorted(moments, key=lambda moment: moment[:2]):
        await asyncio.sleep(began + at - loop.time())
        if fault.kind == "restart":
            listening.restart()
        else:
            await asyncio.to_thread(venue.turn, fault, begins)
    await asyncio.to_thread(venue.heal)
