"""What the parts of the store in memory share: cycles with their forecasts, truth and scores, written once.

One version of the slots scores a backtest, so nothing here goes by version. JSON is kept as text, as in the database:
a slot may change what it is given.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from coordinator_dagster.runners.base import ModelInfo
from coordinator_dagster.stages.facts import Cycle
from coordinator_dagster.stages.numbers import to_json
from coordinator_dagster.windows import Window, WindowGrid

Key = tuple[datetime, str]  # of a cycle: instant and config


class KeptForecast(NamedTuple):
    """One model's answer, or what came instead."""

    model_id: str
    status: str
    reason: str
    deployment: str | None
    output: str | None
    exec_time_ms: float | None


class KeptTruth(NamedTuple):
    """What came true for a cycle, or why it is VOID."""

    status: str
    reason: str | None
    content: str | None


class KeptScore(NamedTuple):
    """The score of one forecast."""

    status: str
    value: float | None
    success: bool
    reason: str | None
    due: bool
    answered: bool
    at: datetime


@dataclass
class KeptCycle:
    """A performed cycle and what became of it; forecasts in the order of model ids, scores by model id."""

    cycle: Cycle
    scope: str | None
    forecasts: Sequence[KeptForecast]
    truth: KeptTruth | None = None
    scores: dict[str, KeptScore] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        return self.cycle.performed_at, self.cycle.config_id


@dataclass
class Tables:
    """Cycles by key, and where to find them: by the window they are in, and by the one their truth falls in."""

    grid: WindowGrid
    models: dict[str, ModelInfo] = field(default_factory=dict)
    joined: dict[str, datetime] = field(default_factory=dict)
    cycles: dict[Key, KeptCycle] = field(default_factory=dict)
    unresolved: dict[Key, KeptCycle] = field(default_factory=dict)
    unscored: dict[Key, KeptCycle] = field(default_factory=dict)
    by_start: dict[datetime, list[KeptCycle]] = field(default_factory=dict)
    by_truth: dict[datetime, list[KeptCycle]] = field(default_factory=dict)  # by the window's end

    def add(self, window: Window, one: KeptCycle) -> None:
        self.cycles[one.key] = self.unresolved[one.key] = one
        self.by_start.setdefault(window.start, []).append(one)
        self.by_truth.setdefault(self.grid.resolving(one.cycle.resolvable_at).end, []).append(one)

    def between(self, after: datetime, until: datetime) -> list[KeptCycle]:
        """The cycles resolvable in `(after, until]`, by time, then config."""
        ends = [end for end in self.by_truth if end > after and end - self.grid.length < until]
        found = [one for end in ends for one in self.by_truth[end] if after < one.cycle.resolvable_at <= until]
        return sorted(found, key=lambda one: one.key)


def settled_in(some: dict[Key, KeptCycle], windows: Sequence[Window]) -> list[KeptCycle]:
    """Those that settling these windows is about, by time, then config.

    They were performed in the windows, or earlier, with a truth that falls in them.
    """
    start, end = windows[0].start, windows[-1].end
    return [some[key] for key in sorted(some) if start <= key[0] < end or start < some[key].cycle.resolvable_at <= end]


def frozen(value: Any) -> str | None:
    """JSON as it is kept; None stays None."""
    return None if value is None else to_json(value).decode()  # the bytes that orjson makes take 4 KB each


def thawed(text: str | None) -> Any:
    """What was kept, made anew for whoever asks."""
    return None if text is None else orjson.loads(text)
