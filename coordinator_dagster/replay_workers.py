"""Processes that ask models side by side, for a replay: each performs other windows, with models of its own."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import connection, get_context, parent_process
from multiprocessing.queues import SimpleQueue
from typing import TypeVar

from coordinator_dagster.bulk import bulk
from coordinator_dagster.competition import Competition
from coordinator_dagster.runtime import Runtime
from coordinator_dagster.store.database import Database
from coordinator_dagster.store.store import Store
from coordinator_dagster.windows import Window, stretches

FEW = 2  # windows that a worker performs before it says so
WORTH_IT = 12  # windows for each: a worker takes a second to start
MOST = 8  # by default: each has a process for every model

T = TypeVar("T")
Work = Callable[[Runtime, Sequence[Window]], T]
_life = ExitStack()  # a worker's
_mine: Runtime


def default_workers(competition: Competition, windows: int) -> int:
    """One for a processor, where there is enough to do. Nodes over gRPC persist: they are asked in order."""
    if competition.settings.model_runner != "local":
        return 1
    return max(1, min(len(_processors()), windows // WORTH_IT, MOST))


class Workers:
    """See `started`."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def do(self, work: Work[T], windows: Sequence[Window]) -> list[Future[T]]:
        """Have it done for these windows, a few at a time, in any order."""
        return [self._pool.submit(_do, work, few) for few in stretches(windows, FEW)]


@contextmanager
def started(runtime: Runtime, count: int) -> Iterator[Workers]:
    """So many workers; in the end none is left, and what had not been begun is not done."""
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])  # imports once, not in every worker
    processors, shares = _processors(), context.SimpleQueue()
    for number in range(count):
        shares.put(processors[number::count] or [processors[number % len(processors)]])
    pool = ProcessPoolExecutor(count, context, _begin, (runtime.competition, runtime.store.database.url, shares))
    try:
        yield Workers(pool)
    finally:
        pool.shutdown(cancel_futures=True)


def _processors() -> list[int]:
    """The processors that we may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _do(work: Work[T], windows: Sequence[Window]) -> T:
    return work(_mine, windows)


def _begin(competition: Competition, url: str, shares: SimpleQueue[list[int]]) -> None:
    """A worker's first act. It ends with who started it, be that killed.

    With its models it keeps to its share of the processors: two that talk every millisecond wake each other there in
    three quarters of the time it takes across.
    """
    global _mine
    share = shares.get()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, share)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who started it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _life.enter_context(bulk())
    _mine = Runtime(competition, Store(Database(url, competition.schema)))


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent
    connection.wait([parent.sentinel])
    os._exit(1)
