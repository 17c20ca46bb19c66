"""The database may be away for a while: what a live run has to store waits for it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import Any, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential

from coordinator_dagster.errors import first_line
from coordinator_dagster.live.tell import Tell
from coordinator_dagster.store.database import DatabaseAway

Result = TypeVar("Result")


async def patiently(tell: Tell, executor: Executor, work: Callable[..., Result], *arguments: Any) -> Result:
    """What `work` returns, in a thread of `executor`; tried again for as long as the database is away."""
    loop = asyncio.get_running_loop()

    def say(state: RetryCallState) -> None:
        if state.attempt_number == 1 and state.outcome:
            tell.problem(f"the database is away, waiting for it: {first_line(state.outcome.exception())}")

    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type(DatabaseAway), wait=wait_exponential(0.1, max=1), before_sleep=say
    ):
        with attempt:
            result = await loop.run_in_executor(executor, partial(work, *arguments))
    return result
