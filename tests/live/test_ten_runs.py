"""Ten live runs started by hand for one window: one works, the others end with a clear message."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from coordinator_dagster.clock import open_clock
from coordinator_dagster.competition import Competition
from coordinator_dagster.live.leasing import Taken
from coordinator_dagster.runtime import open_runtime
from tests.live.running import run_one
from tests.live.telling import Kept


def test_one_works_and_nine_end_with_a_clear_message(competition: Callable[..., Competition]) -> None:
    now = open_clock(None).now()
    start = now.replace(minute=0, second=0, microsecond=0)
    made = competition(
        mode="live", competition_start=start.isoformat(), competition_end=(start + timedelta(hours=3)).isoformat()
    )
    window = made.windows.at(now)

    async def main() -> list[Any]:
        runs = [asyncio.create_task(run_one(made, window, f"run {n}", Kept())) for n in range(10)]
        try:
            async with asyncio.timeout(40):
                while sum(run.done() for run in runs) < 9:
                    await asyncio.sleep(0.1)
        finally:
            for run in runs:
                run.cancel()
        return await asyncio.gather(*runs, return_exceptions=True)

    ends = asyncio.run(main())
    assert [type(end) for end in ends].count(asyncio.CancelledError) == 1, "one works until it is ended"
    refused = [end for end in ends if isinstance(end, Taken)]
    assert len(refused) == 9
    assert all(f"another live run is at work for window {window.key} already: run " in str(one) for one in refused)
    with open_runtime(made) as runtime:
        lease = runtime.store.leases.read("live")
        assert lease and not lease.alive, "it was given up"
