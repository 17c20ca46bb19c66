"""A live run: it waits for the lease, ticks through its window, hands over, and closes what it performed.

Two are always alive. The holder of the lease listens, performs and settles; the next window's waits for it, its
models warm, and listens too when its window is near. Hand-over at a window's end and fail-over after a crash are the
same step: a lease that is free.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from datetime import datetime, timedelta

from coordinator_dagster.errors import first_line
from coordinator_dagster.live.cycles import Cycles, record_missed
from coordinator_dagster.live.instant import Performer
from coordinator_dagster.live.leasing import CLAIM, POLL_SECONDS, WORK, Dismissed, claim, claim_of, keep
from coordinator_dagster.live.listening import Completeness, listen
from coordinator_dagster.live.patience import patiently
from coordinator_dagster.live.settling import Settler
from coordinator_dagster.live.tell import Tell
from coordinator_dagster.runtime import Runtime
from coordinator_dagster.store.database import DatabaseAway
from coordinator_dagster.windows import Window

FRESH_SECONDS = 60.0  # real ones: a waiting run starts its models anew so long before its window; a start may take 20
LISTEN_SECONDS = 10.0  # real ones: so long before its window it listens too; twice heard is on the tape once
FINISH_SECONDS = 2.0  # real ones: a cycle that is under way may end when the run is ended
UNPERFORMED = "no live run was at work"


class LiveFaults(Exception):
    """The run did its work, and something failed on our side meanwhile."""


async def live_run(runtime: Runtime, window: Window, holder: str, tell: Tell) -> str:
    """Work for the window, and before it where nobody does; what became of it, in words.

    Raises Taken when another run is at work for it, LeaseLost when this one was away for too long, LiveFaults at
    the end when a slot or a stage failed. Cancelled, it lets the next one have the lease at once.
    """
    with ExitStack() as threads:
        run = _LiveRun(runtime, window, holder, tell, threads)
        try:
            await claim(runtime.store.leases, window, holder, tell, run.side)
            return await run.work()
        except ExceptionGroup as group:
            first = group.exceptions[0]
            if isinstance(first, Dismissed):
                return f"made way: {first}"
            raise first from group
        finally:
            await run.end()


class _LiveRun:
    def __init__(self, runtime: Runtime, window: Window, holder: str, tell: Tell, threads: ExitStack) -> None:
        def thread(name: str) -> ThreadPoolExecutor:
            return threads.enter_context(ThreadPoolExecutor(1, name))

        self.runtime, self.window, self.holder, self.tell = runtime, window, holder, tell
        self.hot, self.tape, self.settle = thread("cycles"), thread("tape"), thread("settle")
        # One thread for the leases: a renewal on its way cannot overtake the release.
        self.side, self.leases = thread("side"), thread("lease")
        self.unperformed = UNPERFORMED
        self.refreshing: asyncio.Task[None] | None = None
        self.performer, self.at_work = Performer(runtime), asyncio.Event()
        self.complete = Completeness(self.performer.series)
        self.cycles = Cycles(runtime, self.performer, self.complete, tell, self.hot, self.side)

    async def work(self) -> str:
        async with asyncio.TaskGroup() as background:
            keeping = [background.create_task(self._keep(claim_of(self.window)))]
            await patiently(self.tell, self.side, self.performer.freshen)
            self.tell.log(f"waiting for the lease, for window {self.window.key}; the models are warm")
            listening = background.create_task(self._listen())
            since = await self._lease()
            if since is None:
                keeping[0].cancel()
                listening.cancel()
                return f"not needed: another run worked until the end of window {self.window.key}"
            keeping.append(background.create_task(self._keep(WORK)))
            watching = background.create_task(self.cycles.watched())
            self.at_work.set()
            if self.refreshing:
                await self.refreshing
            await patiently(self.tell, self.side, self.performer.rest)  # what was submitted while it waited
            settler = self._settler(self.runtime.competition.windows.between(since, self.window.end))
            settling = background.create_task(settler.run())
            now = self.runtime.clock.now()
            await record_missed(self.cycles, since, now, self.unperformed)
            self.tell.log(f"at work from {now.isoformat()} on")
            if await self.cycles.run(max(since, now), self.window.end):
                keeping.pop().cancel()
                listening.cancel()
                await self._release()
                self.tell.log("handed over; closing the window")
            await settling
            await self.cycles.finished()
            await patiently(self.tell, self.side, self.runtime.store.leases.forget, CLAIM)
            for task in (*keeping, listening, watching):
                task.cancel()
        if faults := [*self.cycles.faults, *settler.faults]:
            raise LiveFaults(f"{len(faults)} faults, each told when it came; the first: {faults[0]}")
        return f"window {self.window.key} is closed"

    async def _listen(self) -> None:
        """From shortly before the window on, for its first inputs shall lack nothing; or from when the work is ours."""
        clock = self.runtime.clock
        left = (self.window.start - clock.now()).total_seconds() / clock.speed
        near = max(0.0, left - LISTEN_SECONDS) if left > 0 else None  # who stands by in an open window need not
        with suppress(TimeoutError):
            async with asyncio.timeout(near):
                await self.at_work.wait()
        await listen(self.runtime, self.complete, self.tell, self.tape)

    async def _lease(self) -> datetime | None:
        """Wait for the lease. From which instant on the work is ours; None when the window ended before."""
        leases, clock = self.runtime.store.leases, self.runtime.clock
        fresh_at = self.window.start - timedelta(seconds=FRESH_SECONDS * clock.speed)
        while clock.now() < self.window.end:
            lease = await patiently(self.tell, self.leases, leases.read, WORK)
            free = lease is None or not lease.alive
            if free and await patiently(self.tell, self.leases, leases.take, WORK, self.holder):
                if lease and lease.meta.get("by") == lease.holder:
                    self.unperformed = lease.meta["why"]
                return self._ours_from(lease.meta.get("through") if lease else None)
            if self.refreshing is None and fresh_at <= clock.now() < self.window.start:
                # Beside the waiting: a model that is slow to start holds up no hand-over.
                refresh = patiently(self.tell, self.side, self.performer.freshen)
                self.refreshing = asyncio.create_task(refresh)
            await asyncio.sleep(POLL_SECONDS)
        return None

    def _ours_from(self, through: str | None) -> datetime:
        """What the last holder left; the instants of the open window that nobody performed are ours to record."""
        now, competition = self.runtime.clock.now(), self.runtime.competition
        handed_over = datetime.fromisoformat(through) if through else competition.start
        return max(competition.start, handed_over, competition.windows.at(now).start)

    def _settler(self, windows: list[Window]) -> Settler:
        def take_stored() -> dict[datetime, datetime]:
            stored, self.cycles.stored = self.cycles.stored, {}
            return stored

        def done() -> bool:
            under_way = self.cycles.under_way
            return under_way is None or under_way.done()

        return Settler(self.runtime, self.tell, self.settle, windows, done, take_stored)

    async def _keep(self, name: str) -> None:
        await keep(self.runtime.store.leases, name, self.holder, self.tell, self.leases, self.at_work)

    async def _release(self) -> None:
        """The next run has it at once, from the window's end on."""
        meta = {"through": self.window.end.isoformat()}
        await patiently(self.tell, self.leases, self.runtime.store.leases.release, WORK, self.holder, meta)

    async def end(self) -> None:
        """Whatever happened: leave no model at work and no lease held."""
        under_way = self.cycles.under_way
        if under_way and not under_way.done():
            await asyncio.wait({under_way}, timeout=FINISH_SECONDS)
            under_way.cancel()
        self.runtime.runner.abort()
        loop, release = asyncio.get_running_loop(), self.runtime.store.leases.release
        try:
            for name in (WORK, claim_of(self.window)):
                await loop.run_in_executor(self.leases, release, name, self.holder)
        except DatabaseAway as error:
            self.tell.problem(f"the leases run out by themselves, the database is away: {first_line(error)}")
