"""A live competition for a day of the venue, many times faster than real time: does anything grow, or get lost?

    PYTHONPATH=<the folder of stand_in_exchange> COORDINATOR_TEST_TAPE=<set A> \\
        make bench NAME=soak ARGS="--hours 24 --speed 60"

A real `coordinator live` (baseline pack: a cycle a minute, a window an hour) with its UI, daemon, code server, sensors
and embedded PostgreSQL, against the stand-in exchange and its clock. The services start before the competition begins,
and work for a while after the hours that count. What goes by real time (sensors' ticks, leases) is so much rarer per
day of the venue: the slopes are told per real hour as well. A cycle of the pack may start 7 s after its instant, which
at 60x are 117 ms for the venue's push and ours: a machine that others use needs a longer `--input-wait`.
"""

import argparse
import json
import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks._soak_processes import COMPETITION, Coordinator, coordinator, exchange
from benchmarks._soak_samples import LIVE_RUN, LONG_LIVING, MODELS, OTHER_RUN, POSTGRES, Sample, Sampler, slope
from coordinator_dagster.cli.moments import parse_moment
from coordinator_dagster.clock import venue_clock
from coordinator_dagster.packs import available_packs

START_SECONDS = 60  # real ones: everything is up before the competition begins
END_SECONDS = 25  # real ones: the last window is closed and settled
STEADY_HOURS = 12  # of the venue: before that a slope is the warming up
GOALS = {"MB a day": 15.0, "connections": 40, "event rows a day": 10_000, "performed": 0.98}
HAND_OVERS = "select count(*) from dagster.event_logs where event like '%handed over; closing the window%'"
ENDED = (
    "select status, coalesce(reason, ''), performed_at "
    f"from {COMPETITION}.cycles where performed_at >= :start and performed_at < :end order by performed_at"
)
FORECASTS = (
    f"select status, count(*) from {COMPETITION}.forecasts where performed_at >= :start and performed_at < :end "
    "group by status order by status"
)
LATENESS = (
    "select percentile_cont(0.99) within group (order by extract(epoch from cut_off - performed_at)), "
    f"percentile_cont(0.99) within group (order by extract(epoch from stored_at - cut_off)) from {COMPETITION}.cycles "
    "where performed_at >= :start and performed_at < :end and status = 'PERFORMED'"
)
TOLD = (
    "select cast(event as json)->>'user_message' from dagster.event_logs "
    "where dagster_event_type is null and cast(cast(event as json)->>'level' as int) >= 30 order by id"
)
console = Console(stderr=True, highlight=False, soft_wrap=True)


@dataclass
class Soaked:
    """What the day came to."""

    start: datetime
    end: datetime
    samples: list[Sample] = field(default_factory=list)
    cycles: list[tuple[Any, ...]] = field(default_factory=list)
    forecasts: dict[str, int] = field(default_factory=dict)
    lateness: tuple[Any, ...] = (None, None)
    told: Counter[str] = field(default_factory=Counter)
    hand_overs: int = 0
    runs: dict[str, int] = field(default_factory=dict)
    exit_code: int = 0
    left: list[str] = field(default_factory=list)
    audit: dict[str, Any] = field(default_factory=dict)

    @property
    def counted(self) -> list[Sample]:
        return [one for one in self.samples if self.start <= one.at <= self.end]

    @property
    def days(self) -> float:
        return (self.end - self.start) / timedelta(days=1)


def run(arguments: list[str]) -> dict[str, Any]:
    options = parse(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # so that nothing is left then either
    start = parse_moment("--start", options.start)
    soaked = Soaked(start, start + timedelta(hours=options.hours))
    before = start - timedelta(seconds=START_SECONDS * options.speed)
    with exchange(options.tape, before, options.speed) as url:
        clock_url = f"{url}/_control/clock"
        settings = {"CLOCK_URL": clock_url, "FEED_PROVIDER": "binance", "FEED_BASE_URL": url}
        settings |= {"COMPETITION_START": start.isoformat()}
        pack = json.loads(available_packs()["baseline"].read_text()) | {"input_wait_seconds": options.input_wait}
        with coordinator(options.keep, settings, pack) as live:
            console.print(f"`coordinator live` in {live.home}, log {live.log}")
            watch(live, clock_url, options, soaked)
            soaked.exit_code, soaked.left = live.end()
            look_back(live, soaked)
    return result(soaked, options)


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench NAME=soak")
    parser.add_argument("--hours", type=int, default=24, help="of the venue; half a day or more for the slopes")
    parser.add_argument("--speed", type=float, default=60)
    parser.add_argument(
        "--input-wait",
        type=float,
        default=1,
        help="seconds of the venue that an instant waits for its data; baseline: 1",
    )
    parser.add_argument("--start", default="2023-03-18T00:00Z", help="a day of the tape")
    parser.add_argument("--tape", default=os.environ.get("COORDINATOR_TEST_TAPE"))
    parser.add_argument("--every", type=float, default=15, help="real seconds between two samples")
    parser.add_argument("--samples", type=Path, help="a file for the samples, one JSON object a line")
    parser.add_argument("--keep", action="store_true", help="leave the folder with the database and the logs")
    options = parser.parse_args(arguments)
    if options.hours < 2:
        parser.error(f"--hours={options.hours}: there is no slope in less than two")
    if not options.tape:
        parser.error("it needs a tape: set COORDINATOR_TEST_TAPE, or give --tape a folder of market data")
    return options


def watch(live: Coordinator, clock_url: str, options: argparse.Namespace, soaked: Soaked) -> None:
    """Sample until the time is over; a line for each hour of the venue."""
    clock = venue_clock(clock_url)
    until, told = soaked.end + timedelta(seconds=END_SECONDS * clock.speed), soaked.start
    while not (live.home / ".coordinator" / "dagster" / "live-workspace.yaml").exists():  # by then all tables are there
        live.check()
        time.sleep(0.2)
    with closing(Sampler(live.home, live.process.pid)) as sampler:
        while (now := clock.now()) < until:
            live.check()
            sample = sampler.take(now)
            soaked.samples.append(sample)
            if options.samples:
                with options.samples.open("a") as file:
                    file.write(json.dumps(sample.as_json()) + "\n")
            if now >= told:
                told += timedelta(hours=1)
                console.print(line(sample, soaked.start))
            time.sleep(max(0.0, min(options.every, (until - clock.now()).total_seconds() / clock.speed)))


def line(sample: Sample, start: datetime) -> str:
    memory = ", ".join(f"{kind} {max(sample.own.get(kind, [0])):.0f}" for kind in (*LONG_LIVING, LIVE_RUN))
    cycles = ", ".join(f"{count} {status}" for status, count in sorted(sample.cycles.items()))
    return (
        f"{(sample.at - start) / timedelta(hours=1):5.1f} h: {cycles or 'no cycle yet'}; MB: {memory}; "
        f"{sample.counts.get('connections')} connections, {sample.counts.get('event_rows')} event rows"
    )


def look_back(live: Coordinator, soaked: Soaked) -> None:
    """What the tables say once everything has ended; the server still runs."""
    with closing(Sampler(live.home, os.getpid())) as sampler:
        span = {"start": soaked.start, "end": soaked.end}
        soaked.cycles, soaked.forecasts = sampler.rows(ENDED, **span), dict(sampler.rows(FORECASTS, **span))
        (soaked.lateness,) = sampler.rows(LATENESS, **span)
        soaked.hand_overs = sampler.rows(HAND_OVERS)[0][0]
        soaked.told = Counter(alike(text) for (text,) in sampler.rows(TOLD))
        soaked.runs = sampler.take(soaked.end).runs
    done = live.ask(["audit", "--json", "--to", soaked.end.isoformat()])
    with suppress(ValueError):
        soaked.audit = json.loads(done.stdout)
    if not soaked.audit:
        raise RuntimeError(f"`coordinator audit` failed:\n{done.stdout}{done.stderr}")


def alike(text: str) -> str:
    """A reason without its figures, so that the same ones can be counted."""
    return re.sub(r"\d[\d.:T+-]*\d|\d", "#", text.strip().partition("\n")[0])


def grown(samples: Sequence[Sample], name: str, days: float) -> float:
    """How much a count grew per day of the venue."""
    known = [one for one in samples if one.counts]
    span = (known[-1].at - known[0].at) / timedelta(days=1) if len(known) > 1 else days
    return (known[-1].counts[name] - known[0].counts[name]) / span if len(known) > 1 else float("nan")


def result(soaked: Soaked, options: argparse.Namespace) -> dict[str, Any]:
    counted, speed = soaked.counted, options.speed
    due = round((soaked.end - soaked.start) / timedelta(minutes=1))
    performed = sum(status == "PERFORMED" for status, *_ in soaked.cycles)
    missed = Counter(alike(reason) for status, reason, _ in soaked.cycles if status != "PERFORMED")
    slopes = {kind: slope(counted, kind) for kind in LONG_LIVING}
    steepest, most = max(slopes.values()), max(one.counts.get("connections", 0) for one in soaked.samples)
    rows = grown(counted, "event_rows", soaked.days)
    steady = soaked.days * 24 >= STEADY_HOURS
    bounds = {
        "memory": not steady or all(one <= GOALS["MB a day"] for one in slopes.values()),
        "connections": most <= GOALS["connections"],
        "event rows": rows <= GOALS["event rows a day"],
        "performed": performed >= GOALS["performed"] * due,
        "audit": not soaked.audit["violations"] and bool(soaked.cycles),
        "ended": soaked.exit_code == 0 and not soaked.left,
    }
    return {
        "name": "soak",
        "value": steepest,
        "unit": "MB per day of the venue, the steepest of the long-living processes",
        "goal": f"at most {GOALS['MB a day']:g} MB (judged from {STEADY_HOURS} h on), "
        f"{GOALS['connections']} connections, {GOALS['event rows a day']:,} event rows a day; "
        f"{GOALS['performed']:.0%} performed; audit clean; nothing left",
        "met": all(bounds.values()),
        "detail": {
            "hours of the venue, times as fast": f"{soaked.days * 24:g}, {speed:g}",
            "an instant waits for its data, s of the venue": options.input_wait,
            "not met": ", ".join(name for name, met in bounds.items() if not met) or "none",
            **memory(soaked, slopes, speed),
            "connections, most": most,
            "event rows a day": rows,
            "event log, MB a day": grown(counted, "event_bytes", soaked.days) / 1e6,
            "Dagster's tables, MB a day": grown(counted, "dagster_bytes", soaked.days) / 1e6,
            "cycles due": due,
            "cycles performed": performed,
            **{f"MISSED, {reason}": count for reason, count in missed.most_common()},
            "cycles without a word": due - len(soaked.cycles),
            "MISSED at": " ".join(f"{at:%dT%H:%M}" for status, _, at in soaked.cycles if status != "PERFORMED")[:2000],
            **{
                f"{name}, p99, real ms": float(seconds or "nan") / speed * 1000
                for name, seconds in zip(("boundary to cut-off", "cut-off to stored"), soaked.lateness, strict=True)
            },
            **{f"forecasts, {status}": count for status, count in soaked.forecasts.items()},
            "hand-overs": soaked.hand_overs,
            **{f"runs, {name}": count for name, count in soaked.runs.items()},
            **{f"told, {text[:200]}": count for text, count in soaked.told.most_common(20)},
            "audit, violated": ", ".join(f"{v['check']} ({v['count']})" for v in soaked.audit["violations"]) or "none",
            "audit, looked at": str(soaked.audit["looked_at"]),
            "exit code": soaked.exit_code,
            "left behind": "; ".join(soaked.left) or "nothing",
        },
    }


def memory(soaked: Soaked, slopes: dict[str, float], speed: float) -> dict[str, float]:
    """MB by kind: at the end, and how it grows; of runs, which come and go, the largest one of each half."""
    found: dict[str, float] = {}
    for kind, steepness in slopes.items():
        sizes = [max(one.own[kind]) for one in soaked.counted if kind in one.own]
        found[f"{kind}, MB at the end"] = sizes[-1] if sizes else float("nan")
        found[f"{kind}, MB a day"] = steepness
        found[f"{kind}, MB a real hour"] = steepness * speed / 24
    half = len(soaked.counted) // 2
    for kind in (LIVE_RUN, MODELS, OTHER_RUN, POSTGRES):
        for name, part in (("first", soaked.counted[:half]), ("second", soaked.counted[half:])):
            found[f"{kind}, MB of the largest, {name} half"] = max(
                (max(one.own[kind]) for one in part if kind in one.own), default=0.0
            )
    return found
