"""A live run that is asked to make way ends by itself, and the next one has its window."""

import asyncio
from collections.abc import Callable

import pytest

from coordinator_dagster.clock import RunningClock
from coordinator_dagster.competition import Competition
from coordinator_dagster.live.leasing import claim_of
from coordinator_dagster.live.live_run import live_run
from coordinator_dagster.runtime import open_runtime
from slots.market import utc
from tests.live.telling import Kept

START = utc("2026-01-05T00:00Z")


@pytest.mark.parametrize("works", [False, True], ids=["waiting", "working"])
def test_it_ends_well_and_leaves_its_leases(competition: Callable[..., Competition], works: bool) -> None:
    made = competition(mode="live", competition_start=START.isoformat(), competition_end="2026-01-05T03:00Z")
    window = made.windows.at(START)

    async def main() -> str:
        with open_runtime(made) as runtime:
            leases = runtime.store.leases
            if not works:
                assert leases.take("live", "somebody")
            runtime.__dict__["_present"] = RunningClock(START, 1)
            tell = Kept()
            run = asyncio.create_task(live_run(runtime, window, "old", tell))
            async with asyncio.timeout(20):
                while not any("at work" in one if works else "waiting" in one for one in tell.logs):
                    await asyncio.sleep(0.05)
                leases.dismiss(claim_of(window), "old", "a newer release is here")
                ended = await run
            claim, work = leases.read(claim_of(window)), leases.read("live")
            assert claim and not claim.alive
            assert work and (work.holder, work.alive) == (("old", False) if works else ("somebody", True))
            # Who comes next is not told to go.
            assert leases.take(claim_of(window), "new")
            taken = leases.renew(claim_of(window), "new")
            assert taken and not taken.dismissed
            return ended

    assert asyncio.run(main()) == "made way: a newer release is here"
