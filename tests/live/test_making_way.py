"""A live run that is asked to make way while it waits ends by itself, and the next one has its window."""

import asyncio
from collections.abc import Callable

import pytest

from coordinator_dagster.clock import RunningClock
from coordinator_dagster.competition import Competition
from coordinator_dagster.live.leasing import claim_of
from coordinator_dagster.live.live_run import live_run
from coordinator_dagster.runtime import open_runtime
from coordinator_dagster.store.leases import RENEW_SECONDS
from slots.market import utc
from tests.live.telling import Kept

START = utc("2026-01-05T00:00Z")


@pytest.fixture
def made(competition: Callable[..., Competition]) -> Competition:
    return competition(mode="live", competition_start=START.isoformat(), competition_end="2026-01-05T03:00Z")


async def told(tell: Kept, words: str) -> None:
    async with asyncio.timeout(20):
        while not any(words in one for one in tell.logs):
            await asyncio.sleep(0.05)


def test_it_ends_well_and_leaves_its_leases(made: Competition) -> None:
    window = made.windows.at(START)

    async def main() -> str:
        with open_runtime(made) as runtime:
            leases = runtime.store.leases
            assert leases.take("live", "somebody")
            runtime.__dict__["_present"] = RunningClock(START, 1)
            tell = Kept()
            run = asyncio.create_task(live_run(runtime, window, "old", tell))
            await told(tell, "waiting")
            leases.dismiss(claim_of(window), "old", "a newer release is here")
            async with asyncio.timeout(20):
                ended = await run
            claim, work = leases.read(claim_of(window)), leases.read("live")
            assert claim and not claim.alive
            assert work and (work.holder, work.alive) == ("somebody", True)
            # Who comes next is not told to go.
            assert leases.take(claim_of(window), "new")
            taken = leases.renew(claim_of(window), "new")
            assert taken and not taken.dismissed
            return ended

    assert asyncio.run(main()) == "made way: a newer release is here"


def test_it_goes_on_where_the_work_became_its_own_meanwhile(made: Competition) -> None:
    window = made.windows.at(START)

    async def main() -> None:
        with open_runtime(made) as runtime:
            leases = runtime.store.leases
            runtime.__dict__["_present"] = RunningClock(START, 1)
            tell = Kept()
            run = asyncio.create_task(live_run(runtime, window, "old", tell))
            await told(tell, "at work")
            leases.dismiss(claim_of(window), "old", "a newer release is here")
            await asyncio.sleep(2 * RENEW_SECONDS)
            work = leases.read("live")
            assert not run.done() and work and (work.holder, work.alive) == ("old", True)
            run.cancel()
            await asyncio.wait({run})

    asyncio.run(main())
