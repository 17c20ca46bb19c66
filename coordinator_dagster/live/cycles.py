"""Every instant in its turn: wait for it, wait for its data, perform it, store what came of it."""

import asyncio
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from coordinator_dagster.clock import Clock
from coordinator_dagster.errors import first_line
from coordinator_dagster.live.instant import Performed, Performer, Plan
from coordinator_dagster.live.listening import Completeness
from coordinator_dagster.live.patience import patiently
from coordinator_dagster.live.tell import Tell
from coordinator_dagster.packs import PredictionConfig
from coordinator_dagster.runtime import Runtime
from coordinator_dagster.schedule import Schedule
from coordinator_dagster.stages.cycle import missed
from coordinator_dagster.store.database import DatabaseAway
from slots.loader import SlotFailure

AHEAD_SECONDS = 0.3  # real ones: what is due is read so long before its instant
LOOK_SECONDS = 5.0  # real ones: how often the orders are looked at while nothing is due
SPARE = 20  # the models are free again this part of the cadence before the next instant
HAND_OVER = timedelta(seconds=30)
INSTANT = timedelta(microseconds=1)


@dataclass
class Cycles:
    """The cycles of one live run. At most one is under way; the next waits for it, not for its models."""

    runtime: Runtime
    performer: Performer
    complete: Completeness
    tell: Tell
    executor: Executor  # one thread: one instant at a time
    side: Executor  # for what is not on the way of a cycle
    stored: dict[datetime, datetime] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    under_way: asyncio.Task[None] | None = None
    _begun: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def clock(self) -> Clock:
        return self.runtime.clock

    async def run(self, since: datetime, end: datetime) -> bool:
        """Perform what is due from `since` on and before `end`, until it is time to hand over; False: none follows."""
        after, window = since - INSTANT, self.runtime.competition.windows.at(since)
        await patiently(self.tell, self.executor, self.performer.suspensions, since)
        while True:
            schedule = await patiently(self.tell, self.side, self.runtime.store.schedule, self.runtime.competition)
            t = schedule.next_instant(after)
            ahead, look = (timedelta(seconds=one * self.clock.speed) for one in (AHEAD_SECONDS, LOOK_SECONDS))
            if t is None:
                return False
            if t >= end:
                hand_over = self._hand_over_at(schedule, end)
                if self.clock.now() >= hand_over:
                    return True
                await self.clock.sleep_until(min(hand_over, self.clock.now() + look))
                continue
            if t >= window.end:  # models start fresh at each window
                window = self.runtime.competition.windows.at(t)
                await self.finished()
                await patiently(self.tell, self.executor, self.performer.freshen)
                await patiently(self.tell, self.executor, self.performer.suspensions, t)
            if self.clock.now() < t - ahead:
                if self.clock.now() < t - 2 * look and (self.under_way is None or self.under_way.done()):
                    await patiently(self.tell, self.executor, self.performer.rest)  # submitted since the last instant
                await self.clock.sleep_until(min(t - ahead, self.clock.now() + look))
                continue
            await self._start(schedule, t)
            after = t

    async def watched(self) -> None:
        """For ever; raises what could not be stored as soon as it could not: the run ends, another takes over."""
        while True:
            await self._begun.wait()
            self._begun.clear()
            await self.finished()

    async def finished(self) -> None:
        """Wait for what is under way, and raise what it raised; cancelled itself, it lets it go on."""
        if self.under_way:
            await asyncio.shield(self.under_way)

    def _hand_over_at(self, schedule: Schedule, end: datetime) -> datetime:
        """In the middle between the window's last instant and the next run's first."""
        lead = min((one.every / 2 for one in schedule.standing(end)), default=HAND_OVER)
        return end - min(lead, HAND_OVER)

    async def _start(self, schedule: Schedule, t: datetime) -> None:
        """Begin the instant once its data are there, or have been waited for long enough."""
        due = schedule.due_at(t)
        if pause := schedule.orders.pause(t):
            self._begin(t, Performed([missed(one, t, f"paused: {pause.reason}") for one in due]))
            return
        following = schedule.next_instant(t) or t + min(one.every for one in due)
        plan = Plan(t, due, schedule, following - min(one.every for one in due) / SPARE)
        await self.clock.sleep_until(t)
        why_late = ""
        try:
            left = (t + self.runtime.competition.pack.input_wait - self.clock.now()).total_seconds()
            async with asyncio.timeout(max(0.0, left) / self.clock.speed):
                await self.complete.reached(t)
        except TimeoutError:
            why_late = f"not complete: {', '.join(self.complete.lacking(t))}"
        self._begin(t, plan, why_late)

    def _begin(self, t: datetime, what: Plan | Performed, why_late: str = "") -> None:
        self.under_way = asyncio.create_task(self._carry_out(t, what, why_late, self.under_way))
        self._begun.set()

    async def _carry_out(
        self, t: datetime, what: Plan | Performed, why_late: str, before: asyncio.Task[None] | None
    ) -> None:
        if before and before.done():
            before.result()  # what it could not store ends the run: nothing is performed after a hole
        elif before:
            began = self.clock.now()
            await asyncio.shield(before)
            waited = f"it waited {(self.clock.now() - began).total_seconds():.3f} s until the one before it was stored"
            why_late = f"{waited}; {why_late}" if why_late else waited
        performed = what if isinstance(what, Performed) else await self._perform(what, why_late)
        window = self.runtime.competition.windows.at(t)
        add = self.runtime.store.cycles.add
        await patiently(self.tell, self.executor, add, window, performed.cycles, performed.forecasts, performed.given)
        if performed.given:
            self.stored[t] = self.clock.now()
            await patiently(self.tell, self.executor, self.performer.rest)

    async def _perform(self, plan: Plan, why_late: str) -> Performed:
        """What came of it. What fails on our side misses the cycle, and says why; the run goes on."""
        loop = asyncio.get_running_loop()
        latest = max(self.performer.start_by(plan.t, one) for one in plan.configs)
        while True:
            try:
                return await loop.run_in_executor(self.executor, self.performer.perform, plan, why_late)
            except DatabaseAway as error:
                reason = why_late = f"the database was away: {first_line(error)}"
                if self.clock.now() > latest:
                    break
                await asyncio.sleep(0.05)
            except SlotFailure as failure:
                reason = str(failure)
                break
            except Exception as error:  # a fault of ours: the cycle says so now, the run when it ends
                reason = f"{type(error).__name__}: {first_line(error)}"
                self.faults.append(f"{plan.t.isoformat()}: {reason}")
                break
        self.tell.problem(f"{plan.t.isoformat()} is MISSED: {reason}")
        return Performed([missed(one, plan.t, reason) for one in plan.configs])


async def record_missed(cycles: Cycles, since: datetime, until: datetime, reason: str) -> None:
    """The instants in `[since, until)` that nobody performed, at once."""
    if found := await patiently(cycles.tell, cycles.side, miss, cycles.runtime, since, until, reason):
        cycles.tell.problem(f"{found} cycles from {since.isoformat()} on are MISSED: {reason}")


def miss(runtime: Runtime, since: datetime, until: datetime, reason: str) -> int:
    """The cycles in `[since, until)` that have not ended are MISSED; how many they are."""
    schedule, found = runtime.store.schedule(runtime.competition), 0
    for window in runtime.competition.windows.between(since, until):
        ended = runtime.store.cycles.ended(window)
        lost = [
            missed(config, t, _why(schedule, t, config, reason))
            for t, config in schedule.due(window)
            if since <= t < until and (config.id, t) not in ended
        ]
        runtime.store.cycles.add(window, lost, [])
        found += len(lost)
    return found


def _why(schedule: Schedule, t: datetime, config: PredictionConfig, reason: str) -> str:
    pause = schedule.orders.pause(t)
    return f"paused: {pause.reason}" if pause else reason
