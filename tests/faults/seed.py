"""One seed: a venue with faults, a tape by listening and one by asking, and whether both are what the venue held.

`python -m tests.faults.seed 17 18` repeats seeds. A seed fixes the plan; how its faults fall between threads is chance.
"""

import asyncio
import os
import random
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from unittest import mock

from coordinator_dagster.audit import audit
from coordinator_dagster.audit.queries import read_queries
from coordinator_dagster.clock import venue_clock
from coordinator_dagster.feeds import binance, binance_budget, binance_rest, binance_session, binance_stream
from coordinator_dagster.feeds.base import FeedError
from coordinator_dagster.runtime import Runtime, open_runtime
from coordinator_dagster.stages import ingest
from slots.tape import boundary
from tests.faults.contest import drop, make_competition
from tests.faults.plan import Plan, make_plan
from tests.faults.truth import SERIES, outages, truth
from tests.faults.venue import Venue, open_venue
from tests.faults.watching import Look, Watcher, look, until
from tests.faults.ways import Asking, Listening, strike

HOUR = timedelta(hours=1)
CATCH_UP_SECONDS = 20.0  # real ones, after the last fault has healed
HEALING_SPEED = 1200.0  # of the venue's clock, for the pauses between two attempts at a gap
WAYS = ("listened", "asked")
FATES = "select fate, sum(count) from market_fates group by 1 order by 1"
RESTATED = "select provider, asset, kind, granularity, ts_event, values_jsonb from market_restatements order by id"


@dataclass
class Outcome:
    """What a seed's run found. `faults`: what should not be."""

    seed: int
    faults: list[str] = field(default_factory=list)
    injected: dict[str, int] = field(default_factory=dict)
    fates: dict[str, int] = field(default_factory=dict)
    restated: int = 0  # keys, of both tapes
    records: int = 0
    looks: int = 0
    brief: int = 0  # holes that the next look did not see any more
    seconds: float = 0.0

    def __str__(self) -> str:
        counts = " ".join(f"{kind}={count}" for kind, count in sorted(self.injected.items()))
        fates = " ".join(f"{fate}={count}" for fate, count in self.fates.items())
        line = (
            f"seed {self.seed}: {'FAILED' if self.faults else 'ok'} {self.seconds:.1f} s, {self.records} records, "
            f"restated {self.restated}, looks {self.looks} (brief {self.brief}); injected {counts}; met {fates}"
        )
        repeat = f"\n  repeat: PYTHONPATH=/work/shared .venv/bin/python -m tests.faults.seed {self.seed}"
        return line + (repeat if self.faults else "") + "".join(f"\n  {one}" for one in self.faults)


def small_numbers(page: int, batch: int) -> ExitStack:
    """Pages and batches of a few records, so that there are ends of them where something can fail."""
    return _patched((binance, "PAGE", page), (ingest, "LIVE_BATCH", batch))


def quick() -> ExitStack:
    """Who is silent for a second is given up. A minute of ours is hours of the venue's: weights are not spared."""
    return _patched(
        (binance_budget, "SHARE", 1e9),
        (binance_rest, "TIMEOUT_SECONDS", 1.0),
        (binance_stream, "TIMEOUT_SECONDS", 1.0),
        (binance_session, "SILENCE_SECONDS", 1.0),
    )


def _patched(*constants: tuple[object, str, float]) -> ExitStack:
    stack = ExitStack()
    for module, name, value in constants:
        stack.enter_context(mock.patch.object(module, name, value))
    return stack


def run_seed(seed: int, tape: Path, database_url: str) -> Outcome:
    """A run of that seed; its schemas are dropped after it."""
    return run_plan(make_plan(seed), tape, database_url)


def run_plan(plan: Plan, tape: Path, database_url: str) -> Outcome:
    began, outcome = time.monotonic(), Outcome(plan.seed)
    with ExitStack() as stack:
        stack.enter_context(quick())
        venue = stack.enter_context(open_venue(tape, plan.start))
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        start = boundary(plan.start, HOUR)
        settings = {"feed_backfill_minutes": plan.backfill, "feed_flush_seconds": plan.flush}
        made = []
        for way in WAYS:
            name = f"faults-{os.getpid()}-{plan.seed}-{way}"
            made.append(make_competition(name, venue, home, database_url, start, **settings))
            drop(database_url, made[-1].schema)
            stack.callback(drop, database_url, made[-1].schema)
        listened, asked = (stack.enter_context(open_runtime(one)) for one in made)
        venue.run(plan.speed)
        with small_numbers(plan.page, plan.batch):
            asyncio.run(_live(plan, venue, tape, listened, asked, outcome))
        outcome.injected = dict(Counter(one.kind for one in plan.faults)) | venue.injected()
        venue.run(HEALING_SPEED)
        for runtime in (listened, asked):
            _settle(plan, venue, tape, runtime, outcome)
        outcome.seconds = time.monotonic() - began
    return outcome


async def _live(plan: Plan, venue: Venue, tape: Path, listened: Runtime, asked: Runtime, outcome: Outcome) -> None:
    """Both ways at once, while faults come and heal; until the one that listens has caught up."""
    began, stop = asyncio.get_running_loop().time(), asyncio.Event()
    listening, asking = Listening(listened), Asking(asked, _windows(plan, asked), random.Random(plan.seed))
    with ExitStack() as stack:
        watchers = [
            stack.enter_context(
                Watcher(way, one.store.database, venue_clock(venue.clock_url), plan, tape, one.competition.tape_start)
            )
            for way, one in zip(WAYS, (listened, asked), strict=True)
        ]
        runs = [asyncio.create_task(one.run(stop)) for one in (listening, asking)]
        striking = asyncio.create_task(strike(plan, venue, listening, began))
        caught_up = asyncio.create_task(_caught_up(plan, listened, began))
        await asyncio.wait({caught_up, *runs}, return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        if not caught_up.done():
            caught_up.cancel()
        elif behind := caught_up.result():
            outcome.faults.append(f"listened: not complete {CATCH_UP_SECONDS:g} s after the end: {behind}")
        await asyncio.gather(*runs)
        await striking
    for watcher in watchers:
        outcome.faults += watcher.faults
        outcome.looks += watcher.looks
        outcome.brief += watcher.brief


async def _caught_up(plan: Plan, runtime: Runtime, began: float) -> str:
    """Empty as soon as the end has come and all series are complete through it; else what they lack after a while."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(began + plan.seconds - loop.time())
    while behind := await asyncio.to_thread(_behind, plan, runtime):
        if loop.time() > began + plan.seconds + CATCH_UP_SECONDS:
            return behind
        await asyncio.sleep(0.1)
    return ""


def _behind(plan: Plan, runtime: Runtime) -> str:
    ends = {one: runtime.store.tape.complete_through([one]) for one in SERIES}
    return ", ".join(f"{one} through {at}" for one, at in ends.items() if at is None or at < _last(plan, one.step))


def _last(plan: Plan, step: timedelta) -> datetime:
    return boundary(plan.end, step) if step else plan.end


def _windows(plan: Plan, runtime: Runtime) -> list:  # type: ignore[type-arg]
    return runtime.competition.windows.between(runtime.competition.start, plan.end)


def _settle(plan: Plan, venue: Venue, tape: Path, runtime: Runtime, outcome: Outcome) -> None:
    """Nothing fails any more: what is missing is fetched as production does it, then all of it once more."""
    way = WAYS["asked" in runtime.competition.schema]
    for name in ("feed", "clock", "_present"):  # a clock is asked for its speed once
        runtime.__dict__.pop(name, None)
    windows = _windows(plan, runtime)

    def settled() -> bool:
        try:
            runtime.heal()
            if way == "asked":
                runtime.ingest(windows, refetch=False)
        except FeedError as error:
            outcome.faults.append(f"{way}: the feed failed though all was healed: {error}")
        return not _unsettled(plan, tape, runtime)

    until(settled, CATCH_UP_SECONDS)
    outcome.faults += [f"{way}: {one}" for one in _unsettled(plan, tape, runtime)]
    start, end = runtime.competition.tape_start, plan.end
    for series in SERIES:
        wanted = truth(tape, series, start, end)
        found = {one.ts_event for one in runtime.store.tape.between(series, start, end)}
        outcome.records += len(wanted)
        if lost := [one.ts_event for one in wanted if one.ts_event not in found]:
            outcome.faults.append(f"{way}: {series}: {len(lost)} lost, the first {lost[0]}, the last {lost[-1]}")
        if invented := found - {one.ts_event for one in wanted}:
            outcome.faults.append(f"{way}: {series}: invented {sorted(invented)[:5]}")
    runtime.ingest(windows)
    restated = {tuple(row[:5]): row[5] for row in runtime.store.database.read(RESTATED)}
    for series in SERIES:
        found = {one.ts_event: one for one in runtime.store.tape.between(series, start, end)}
        for one in truth(tape, series, start, end):
            key = (series.provider, series.asset, series.kind, series.granularity, one.ts_event)
            there = found.get(one.ts_event)
            if there and there.values != one.values:
                outcome.restated += 1
                if restated.get(key) != one.values:
                    outcome.faults.append(f"{way}: {series} at {one.ts_event}: {there.values}, but it is {one.values}")
            elif there and there.meta != one.meta:
                outcome.faults.append(f"{way}: {series} at {one.ts_event}: {there.meta}, but it is {one.meta}")
    queries = [one for one in read_queries() if one.asset == "market_records"]
    for violation in audit(runtime.store.database, runtime.clock.now(), queries=queries):
        outcome.faults.append(f"{way}: audit: {violation.query.title}: {violation.rows[0]}")
    for fate, count in runtime.store.database.read(FATES):
        outcome.fates[fate] = outcome.fates.get(fate, 0) + int(count)


def _unsettled(plan: Plan, tape: Path, runtime: Runtime) -> list[str]:
    """What is not complete, and what stands as missing though the venue has it, or the other way round."""
    found: Look = look(runtime.store.database, runtime.clock)
    faults = [behind] if (behind := _behind(plan, runtime)) else []
    start = runtime.competition.tape_start
    for series in SERIES:
        gaps = [(a, b) for a, b in found.gaps.get(series, []) if a < _last(plan, series.step)]
        if series.kind == "tick":
            faults += [f"{series}: a gap stands from {a} to {b}" for a, b in gaps]
            continue
        stands = {a + n * series.step for a, b in gaps for n in range((b - a) // series.step)}
        stands = {one for one in stands if one + series.step <= plan.end}
        away = outages(tape, series, start, plan.end)
        if stands != away:
            extra, lacking = ([one.isoformat() for one in sorted(some)[:3]] for some in (stands - away, away - stands))
            faults.append(
                f"{series}: standing but not missing {extra}, missing but not standing {lacking}; gaps {gaps}"
            )
    return faults


def main() -> None:
    tape = Path(os.environ.get("COORDINATOR_TEST_TAPE", "/work/shared/data"))
    url = os.environ.get("COORDINATOR_TEST_DATABASE_URL", "postgresql://root@127.0.0.1:5432/test")
    failed = False
    for seed in map(int, sys.argv[1:]):
        outcome = run_seed(seed, tape, url)
        failed |= bool(outcome.faults)
        print(outcome, flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
