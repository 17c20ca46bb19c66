"""What the feed pushes goes onto the tape; and whoever waits for it is told."""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from contextlib import aclosing
from datetime import datetime

from coordinator_dagster.errors import first_line
from coordinator_dagster.feeds.base import FeedError
from coordinator_dagster.live.patience import patiently
from coordinator_dagster.live.tell import Tell
from coordinator_dagster.runtime import Runtime
from coordinator_dagster.stages.ingest import take_in
from slots.market import Series
from slots.tape import boundary

PAUSE_SECONDS = 1.0  # real ones, between two attempts at a feed that fails after its own retries


class Completeness:
    """Through when each series is complete, as far as this run has put it onto the tape."""

    def __init__(self, series: Sequence[Series]) -> None:
        self._through: dict[Series, datetime | None] = dict.fromkeys(series)
        self._advanced = asyncio.Event()

    def advance(self, series: Series, through: datetime) -> None:
        self._through[series] = max(through, self._through[series] or through)  # a late piece sets nothing back
        self._advanced.set()
        self._advanced = asyncio.Event()

    def covers(self, t: datetime) -> bool:
        """Nothing at or before `t` is still to come; of candles, none that is over by then."""
        return not self.lacking(t)

    def lacking(self, t: datetime) -> list[str]:
        """The series that are not complete through `t`, with how far they are."""
        return [
            f"{one} (complete through {through:%H:%M:%S.%f})" if through else f"{one} (nothing yet)"
            for one, through in self._through.items()
            if through is None or through < (boundary(t, one.step) if one.step else t)
        ]

    async def reached(self, t: datetime) -> None:
        """Wait until it covers `t`."""
        while not self.covers(t):
            await self._advanced.wait()


async def listen(runtime: Runtime, complete: Completeness, tell: Tell, executor: Executor) -> None:
    """Listen from where the tape ends, for ever. A feed that fails is asked again: missed records are fetched."""
    series = list(complete._through)
    while series:
        since = await patiently(tell, executor, _ends, runtime, series)
        try:
            async with aclosing(runtime.feed.listen(since)) as pieces:  # type: ignore[type-var]
                async for heard in pieces:
                    arguments = (runtime.competition, runtime.store, runtime.feed, runtime.clock, heard)
                    await patiently(tell, executor, take_in, *arguments)
                    complete.advance(heard.series, heard.through)
        except FeedError as error:
            tell.problem(f"the feed failed, listening again: {first_line(error)}")
            await patiently(tell, executor, _note_failure, runtime, series, str(error))
        await asyncio.sleep(PAUSE_SECONDS)


def _ends(runtime: Runtime, series: Sequence[Series]) -> Mapping[Series, datetime]:
    """Where the contiguous tape of each series ends, or has to begin."""
    return {one: runtime.store.tape.complete_through([one]) or runtime.competition.tape_start for one in series}


def _note_failure(runtime: Runtime, series: Sequence[Series], reason: str) -> None:
    """What has not come since the tape's end is missing, until it comes."""
    now = runtime.clock.now()
    for one, end in _ends(runtime, series).items():
        if end < now:
            runtime.store.gaps.failed(one, (end, now), now, reason)
