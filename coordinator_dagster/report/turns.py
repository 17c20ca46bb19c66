"""What takes long is done for a few at once: who asks for little is not kept waiting, and memory has a bound."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from fastapi.concurrency import run_in_threadpool

from coordinator_dagster.report.problems import Refused

T = TypeVar("T")
AT_ONCE = 2
WAIT_SECONDS = 10
BUSY = "too many ask for many rows at once; ask again in some seconds, or for fewer"


class Turns:
    """Of one process."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(AT_ONCE)

    async def take(self, make: Callable[[], T]) -> T:
        """What `make` returns, in a thread, once it is its turn; Refused when that takes too long."""
        try:
            await asyncio.wait_for(self._free.acquire(), WAIT_SECONDS)
        except TimeoutError:
            raise Refused(503, BUSY, {"Retry-After": str(WAIT_SECONDS)}) from None
        try:
            return await run_in_threadpool(make)
        finally:
            self._free.release()
