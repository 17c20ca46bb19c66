"""What is done to the venue under a seed: which faults, when, and when each heals."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from slots.market import utc

FIRST, LAST = utc("2023-03-17T04:00Z"), utc("2023-04-28T00:00Z")
OUTAGE, OUTAGE_ENDS = utc("2023-03-24T11:28Z"), utc("2023-03-24T14:00Z")
MINUTE = timedelta(minutes=1)
ANY, REST, TRADES, CANDLES, TIME, STREAM = (
    "",
    "/api",
    "/api/v3/aggTrades",
    "/api/v3/klines",
    "/api/v3/time",
    "/stream",
)
WITHHOLDING = ("gap", "empty_list")
HEALED = 0.85  # of the run: then everything is


@dataclass(frozen=True)
class Fault:
    """One fault, from `begin` to `end` (real seconds from the start); `setting` is as the stand-in takes it."""

    kind: str
    setting: Mapping[str, Any]
    begin: float
    end: float


@dataclass(frozen=True)
class Plan:
    """A run: from when (the venue's time), how fast, how long, and what happens to it."""

    seed: int
    start: datetime
    speed: float
    minutes: int
    backfill: int  # minutes of history before the first window
    page: int  # rows in one of the venue's answers, at most
    batch: int  # records in one transaction, at most
    flush: float  # the feed's flush delay, the venue's seconds
    faults: tuple[Fault, ...]

    @property
    def end(self) -> datetime:
        return self.start + self.minutes * MINUTE

    @property
    def seconds(self) -> float:
        return self.minutes * 60 / self.speed

    def withheld(self, at: datetime) -> bool:
        """The venue may have shown, for a while, that no trade was there; nothing told us better."""
        return any(
            (one.kind == "empty_list" and TRADES.startswith(one.setting["path"]))
            or (one.kind == "gap" and utc(one.setting["from"]) <= at < utc(one.setting["to"]))
            for one in self.faults
        )

    def hurried(self, at: datetime) -> bool:
        """The venue's clock ran ahead then, and may have said that this moment was over."""
        return any(
            one.kind == "clock_skew_s"
            and one.setting["seconds"] > 0
            and one.begin <= (at - self.start).total_seconds() / self.speed <= one.end
            for one in self.faults
        )


def by_hand() -> Plan:
    """Seed 0: by websocket twice, out of order, without a price; and late, for the venue runs ahead of its trades."""
    faults = (
        Fault("duplicates", {"times": 30, "path": STREAM}, 0.5, 2),
        Fault("out_of_order", {"times": 30, "path": STREAM}, 1.5, 3),
        Fault("bad_price", {"value": "nan", "times": 2, "path": STREAM}, 3, 4),
        Fault("clock_skew_s", {"seconds": 20}, 4, 5.5),
        Fault("bad_price", {"value": "zero", "times": 2, "path": STREAM}, 5.5, 6.5),
    )
    return Plan(0, utc("2023-03-23T12:30Z"), 120.0, 16, 0, 1000, 2000, 0.25, faults)


def make_plan(seed: int, seconds: tuple[float, float] = (11, 18)) -> Plan:
    """The plan of a seed; a run takes so many real seconds, and some more until all is fetched."""
    if seed == 0:
        return by_hand()
    dice = random.Random(seed)
    speed = dice.choice((60.0, 90.0, 120.0))
    minutes = round(dice.uniform(*seconds) * speed / 60)
    if dice.random() < 0.3:  # into the venue's real outage, or out of it
        start = dice.choice((OUTAGE, OUTAGE + 72 * MINUTE, OUTAGE_ENDS)) - dice.randrange(5, minutes) * MINUTE
    else:
        start = FIRST + dice.random() * (LAST - FIRST)
    start = start.replace(microsecond=0)
    lasting = minutes * 60 / speed
    faults: list[Fault] = []
    for _ in range(dice.randint(7, 12) if seed % 40 != 1 else 0):  # some go undisturbed
        kind = dice.choice(list(KINDS))
        begin = max(0.0, dice.uniform(-0.1, HEALED - 0.1)) * lasting
        end = min(begin + dice.uniform(0.5, 5), HEALED * lasting)
        if kind in WITHHOLDING and dice.random() < 0.3:  # longer than it takes to believe that there was no trade
            end = HEALED * lasting
        setting = KINDS[kind](dice, start + timedelta(seconds=begin * speed))
        if not any(one.kind == kind and one.begin <= end and begin <= one.end for one in faults):
            faults.append(Fault(kind, setting, begin, end))
    return Plan(
        seed,
        start,
        speed,
        minutes,
        backfill=dice.choice((0, 7, 60, 150)),
        page=dice.choice((11, 50, 1000)),
        batch=dice.choice((15, 100, 2000)),
        flush=dice.choice((0.25, 0.25, 3.0)),
        faults=tuple(sorted(faults, key=lambda one: one.begin)),
    )


def _some(dice: random.Random, most: int) -> int | None:
    """How many times; None: until it heals."""
    return dice.choice((*range(1, most + 1), None))


def _gap(dice: random.Random, now: datetime) -> dict[str, Any]:
    start = now + dice.uniform(-8, 3) * MINUTE
    end = start + dice.uniform(0.5, 6) * MINUTE
    asset = dice.choice(({"asset": "BTC"}, {"asset": "ETH"}, {}))
    return {"from": start.isoformat(), "to": end.isoformat(), **asset}


KINDS: dict[str, Callable[[random.Random, datetime], dict[str, Any]]] = {
    "http_429": lambda dice, now: {"times": _some(dice, 4), "retry_after": 1, "path": dice.choice((REST, STREAM))},
    "http_418": lambda dice, now: {"times": _some(dice, 2), "retry_after": 1, "path": REST},
    "http_500": lambda dice, now: {"times": _some(dice, 8), "path": dice.choice((REST, TIME, STREAM))},
    "http_503": lambda dice, now: {"times": _some(dice, 8), "path": dice.choice((ANY, TRADES, CANDLES))},
    "truncated_json": lambda dice, now: {"times": _some(dice, 6), "path": dice.choice((REST, TRADES, CANDLES, STREAM))},
    "latency_s": lambda dice, now: {"seconds": dice.uniform(0.02, 0.6), "path": dice.choice((ANY, REST, STREAM))},
    "timeout": lambda dice, now: {"times": dice.randint(1, 2), "path": dice.choice((TRADES, CANDLES, TIME, STREAM))},
    "ws_drop_after": lambda dice, now: {"messages": dice.randint(1, 60), "times": _some(dice, 3)},
    "duplicates": lambda dice, now: {"times": dice.randint(1, 100), "path": dice.choice((ANY, REST, STREAM))},
    "out_of_order": lambda dice, now: {"times": dice.randint(1, 30), "path": dice.choice((ANY, REST, STREAM))},
    "empty_list": lambda dice, now: {"times": _some(dice, 4), "path": dice.choice((REST, TRADES, CANDLES))},
    "bad_price": lambda dice, now: {
        "value": dice.choice(("nan", "negative", "zero")),
        "times": _some(dice, 5),
        "path": dice.choice((REST, TRADES, CANDLES, STREAM)),
    },
    "gap": _gap,
    "clock_skew_s": lambda dice, now: {"seconds": dice.choice((-90, -20, -2, -0.1, 0.1, 2, 20, 90))},
    "silence": lambda dice, now: {},
    "lag": lambda dice, now: {"seconds": dice.uniform(0.02, 0.4)},
    "cut": lambda dice, now: {},
    "restart": lambda dice, now: {},
}
