"""The facts that the stages produce and the store keeps. All times are aware and in UTC.

Those that come by the thousand are named tuples: a frozen dataclass takes four times as long to make.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from coordinator_dagster.runners.base import AnswerStatus


@dataclass
class Added:
    """What an ingestion did: records offered, new on the tape, late ones of these, and restated (first one kept)."""

    offered: int = 0
    new: int = 0
    late: int = 0  # over before the moment through which the series was complete
    restated: int = 0

    @property
    def duplicate(self) -> int:
        return self.offered - self.new - self.restated


@dataclass(frozen=True, slots=True)
class StoredInput:
    """An instant's input: the payload as JSON text, and until when records had to arrive for it."""

    performed_at: datetime
    cut_off: datetime
    payload: bytes


@dataclass(frozen=True, slots=True)
class Cycle:
    """One config at one instant; `reason` says why it is not performed.

    Answers after `answer_by` are LATE. `call` is how `predict` was called: `{"args", "kwargs"}`. `dispatched_at`,
    live: when the last call had been sent.
    """

    config_id: str
    performed_at: datetime
    resolvable_at: datetime
    status: str
    reason: str | None = None
    cut_off: datetime | None = None
    answer_by: datetime | None = None
    scope_key: str | None = None
    scope: dict[str, Any] | None = None
    call: dict[str, Any] | None = None
    dispatched_at: datetime | None = None


class Forecast(NamedTuple):
    """One model's answer in a cycle, or what came instead; a suspended one was not asked."""

    model_id: str
    cycle: Cycle
    status: AnswerStatus
    exec_time_ms: float | None
    queued_ms: float | None
    output: dict[str, Any] | None
    asked_at: datetime | None
    answered_at: datetime | None
    deployment: str | None
    meta: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Truth:
    """What came true for a cycle, or why it is VOID.

    `order` is the operator's order that it follows. `given_up`: its data had not come in time; they do not
    count when they come later, whatever the version.
    """

    cycle: Cycle
    status: str
    reason: str | None = None
    content: dict[str, Any] | None = None
    external: bool = False
    order: int | None = None
    given_up: bool = False


@dataclass(frozen=True, slots=True)
class Unresolved:
    """A performed cycle without a truth in a version.

    `given_up`: why it was given up in another one. `kept`: the newest truth it has in another, `kept_from`, where its
    records have left the tape by age: it is never found anew.
    """

    cycle: Cycle
    given_up: str | None = None
    kept: Truth | None = None
    kept_from: str | None = None


class Unscored(NamedTuple):
    """A forecast and the truth of its cycle."""

    model_id: str
    config_id: str
    scope_key: str
    scope: dict[str, Any]
    performed_at: datetime
    resolvable_at: datetime
    status: str
    output: dict[str, Any] | None
    truth_status: str
    truth_reason: str | None
    truth: dict[str, Any] | None


class ScoreRow(NamedTuple):
    """A score: `status` is SCORED, CHARGED or EXEMPT; `due`: it had to be answered; `answered`: it was."""

    forecast: Unscored
    status: str
    value: float | None
    success: bool
    reason: str | None
    due: bool
    answered: bool


class StageFailed(Exception):
    """A stage did what it could, stored it, and lists what it could not do."""

    def __init__(self, stage: str, faults: list[str]) -> None:
        self.faults = faults
        more = f"\n… and {len(faults) - 10} more" if len(faults) > 10 else ""
        super().__init__(f"{stage}: {len(faults)} failed:\n" + "\n".join(faults[:10]) + more)


class MonthStays(Exception):
    """A month cannot leave the tape: why, for people."""


class MonthChanged(MonthStays):
    """It has other records than its archive."""
