"""What is read of a competition, before anybody judges it. Moments are UTC, spans are seconds."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal


@dataclass(frozen=True)
class Worker:
    """A live run that holds a lease: which window it has a claim on (None: unknown), and since when it has it."""

    run: str
    window: str | None
    since: datetime


@dataclass(frozen=True)
class Cycles:
    """Those of a while. `missed`: not those that were paused; `reason`: the most frequent. Latencies: median and 99th
    percentile of the seconds from the instant to the last call, and to the commit; None: nothing was measured."""

    performed: int = 0
    missed: int = 0
    missed_lately: int = 0
    paused: int = 0
    reason: str | None = None
    dispatched: tuple[float, float] | None = None
    stored: tuple[float, float] | None = None


@dataclass(frozen=True)
class Tape:
    """A series. `behind`: seconds between now and what can be known of it; None: it has not begun.

    `gap_age`: seconds since the oldest standing gap was seen.
    """

    series: str
    through: datetime | None
    behind: float | None
    gaps: int = 0
    gap_age: float = 0.0
    gap_reason: str | None = None


@dataclass(frozen=True)
class Unsettled:
    """Cycles of a config that have no truth though they could; `lag`: seconds since the oldest of them could have one.
    0 of them: nothing waits. `external`: their truth comes from elsewhere, and may take its time."""

    cycles: int = 0
    lag: float = 0.0
    external: bool = False


@dataclass(frozen=True)
class Board:
    """The newest board shown: the end of its window, whether it is final, and seconds since it was made."""

    end: datetime
    final: bool
    age: float


@dataclass(frozen=True)
class Model:
    """A model's state, why, and what it answered in the last hour by status."""

    name: str
    state: str
    reason: str | None
    until: datetime | None
    answers: Mapping[str, int]

    @property
    def failing(self) -> bool:
        """It was asked and answered less than half of it, for reasons of its own."""
        asked = sum(n for status, n in self.answers.items() if status not in ("SUSPENDED", "PLATFORM_FAULT"))
        return self.state == "active" and asked > 0 and 2 * self.answers.get("SUCCESS", 0) < asked


@dataclass(frozen=True)
class Due:
    """What is to come live. `working`: a live run should be at work now; `waiting`: another one should wait for it.

    `next`: the next instant at which models are asked. `overdue`: seconds since the instant after the last one
    performed. `cadence`: seconds from one instant to the next. `paused`: why nothing is asked now.
    """

    working: bool = False
    waiting: bool = False
    next: datetime | None = None
    cadence: float | None = None
    overdue: float = 0.0
    paused: str | None = None


@dataclass(frozen=True)
class Contest:
    """What the competition's tables say; `by_config` has those of the last hour, `every` is over all of them.

    `start_within`: seconds after its instant in which a cycle of the config must begin; `settle_within`: seconds in
    which a truth from the market is there, when all is well; `board_within`: in which the board is made anew.
    """

    due: Due
    start_within: Mapping[str, float]
    settle_within: float
    board_within: float
    at_work: Worker | None
    waiting: Sequence[Worker]
    last: datetime | None
    every: Cycles
    by_config: Mapping[str, Cycles]
    tape: Sequence[Tape]
    unsettled: Mapping[str, Unsettled]
    board: Board | None
    models: Sequence[Model]
    size: int

    @property
    def answers(self) -> Counter[str]:
        """Those of the last hour by status."""
        return sum((Counter(one.answers) for one in self.models), Counter())

    def states(self) -> Counter[str]:
        return Counter(one.state for one in self.models)


@dataclass(frozen=True)
class FailedCheck:
    asset: str
    check: str
    severity: Literal["ERROR", "WARN"]
    at: datetime


@dataclass(frozen=True)
class FailedRun:
    """The newest run of a job that ended, where it failed."""

    job: str
    run: str
    at: datetime


@dataclass(frozen=True)
class Dagster:
    """What Dagster's tables say of the competition; `checked`: when its checks were evaluated last, `age`: seconds
    since; None: never. `releases`: of the live runs that are at work or wait, by run."""

    checks: Sequence[FailedCheck] = ()
    runs: Sequence[FailedRun] = ()
    checked: datetime | None = None
    age: float | None = None
    releases: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Readings:
    """`database`: which server, None: it is away, and `away` says why. `contest` None: no tables, or others'.

    `dagster` None: it cannot be asked, or its tables are not there.
    """

    now: datetime
    database: str | None = None
    away: str = ""
    other_version: bool = False
    contest: Contest | None = None
    dagster: Dagster | None = None
    disk_free: int = 0
