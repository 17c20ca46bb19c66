"""Live runs in the test's own process, without Dagster around them."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from coordinator_dagster.clock import RunningClock
from coordinator_dagster.competition import Competition
from coordinator_dagster.live.live_run import live_run
from coordinator_dagster.runtime import Runtime, open_runtime
from coordinator_dagster.windows import Window
from tests.live.telling import Kept

Prepare = Callable[[Runtime], None]


async def run_one(made: Competition, window: Window, holder: str, tell: Kept) -> str:
    """One live run with everything of its own, as a process of its own has it."""
    with open_runtime(made) as runtime:
        return await live_run(runtime, window, holder, tell)


def run_until(made: Competition, windows: list[Window], moment: datetime) -> list[Kept]:
    """A live run a window, one after the other, until the clock shows that moment; then they are cancelled."""
    told = [Kept() for _ in windows]

    async def main() -> None:
        runs = []
        for window, tell in zip(windows, told, strict=True):
            runs.append(asyncio.create_task(run_one(made, window, f"run {window.key}", tell)))
            async with asyncio.timeout(20):  # who comes first works first
                while not tell.logs:
                    await asyncio.sleep(0.05)
            await asyncio.sleep(0.3)
        with open_runtime(made) as runtime:
            end = asyncio.create_task(runtime.clock.sleep_until(moment))
            await asyncio.wait({end, asyncio.gather(*runs)}, return_when=asyncio.FIRST_COMPLETED)
        for run in runs:
            run.cancel()
            with suppress(asyncio.CancelledError):
                await run

    asyncio.run(main())
    return told


def run_simulated(
    made: Competition, begin: datetime, until: datetime, speed: float = 60, prepare: Prepare = lambda runtime: None
) -> Kept:
    """A live run of the window of `begin`, over the simulated market, cancelled at `until`."""
    tell = Kept()

    async def main() -> None:
        with open_runtime(made) as runtime:
            runtime.__dict__["_present"] = RunningClock(begin, speed)
            prepare(runtime)
            run = asyncio.create_task(live_run(runtime, made.windows.at(max(begin, made.start)), "run", tell))
            end = asyncio.create_task(runtime.clock.sleep_until(until))
            await asyncio.wait({run, end}, return_when=asyncio.FIRST_COMPLETED)
            run.cancel()
            with suppress(asyncio.CancelledError):
                await run

    asyncio.run(main())
    return tell
