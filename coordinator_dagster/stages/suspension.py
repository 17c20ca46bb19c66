"""Which models are suspended: one that failed in too many instants in a row is not asked for a while.

A pure function of the forecasts of one window, told instant by instant. So batch and live runs, a run that goes on
with half a window, and one that takes over from another come to the same. Windows are independent: each begins with
clean counters, and a suspension ends with its window at the latest.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from coordinator_dagster.runners.base import AnswerStatus

FAILURES: tuple[AnswerStatus, ...] = ("FAILED", "TIMEOUT")
COUNTED: tuple[AnswerStatus, ...] = (*FAILURES, "SUCCESS", "LATE")
REASON_SHOWN = 300


class Said(NamedTuple):
    """What is stored of one answer. `deployment`: of the code that gave it."""

    model_id: str
    status: str
    reason: str
    deployment: str | None


@dataclass(frozen=True)
class SuspensionRule:
    """`failures` failed instants in a row suspend a model for `length`, and so do `timeouts`; 0: never."""

    failures: int
    timeouts: int
    length: timedelta


@dataclass(frozen=True)
class Suspension:
    """A model is not asked after `since`, its last failure, and before `until`: the last `instants` of `kind` were
    failures without another answer between them."""

    since: datetime
    until: datetime
    instants: int
    kind: AnswerStatus
    last: str

    @property
    def reason(self) -> str:
        """For its participant."""
        what = "timed out" if self.kind == "TIMEOUT" else "failed"
        last = self.last if len(self.last) <= REASON_SHOWN else f"{self.last[:REASON_SHOWN]}…"
        until = self.until.isoformat(timespec="seconds").replace(":00+00:00", "Z").replace("+00:00", "Z")
        return f"suspended until {until}: {self.instants} instants in a row {what}, the last: {last}"

    @property
    def meta(self) -> dict[str, Any]:
        """What is stored with each of its forecasts."""
        span = {"since": self.since.isoformat(), "until": self.until.isoformat()}
        return {"reason": self.reason, "suspension": {**span, "instants": self.instants, "kind": self.kind}}


@dataclass
class _Row:
    """The failures in a row of one deployment of a model, and the suspension that its last row led to."""

    deployment: str
    failures: int = 0
    timeouts: int = 0
    suspension: Suspension | None = None


class Suspensions:
    """The suspensions of one window: tell it every instant that has ended, then ask about the next."""

    def __init__(self, rule: SuspensionRule, window_end: datetime) -> None:
        self._rule, self._end = rule, window_end
        self._rows: dict[str, _Row] = {}
        self._through: datetime | None = None

    def at(self, t: datetime, deployments: Mapping[str, str]) -> dict[str, Suspension]:
        """Who of these models must not be asked at `t`, by id. A deployment that has not failed itself is asked."""
        found = {}
        for model_id, deployment in deployments.items():
            row = self._rows.get(model_id)
            if row and row.suspension and row.deployment == deployment and t < row.suspension.until:
                found[model_id] = row.suspension
        return found

    def tell(self, t: datetime, answers: Iterable[Said]) -> None:
        """What all models answered at `t`, in any order; ValueError where `t` does not come after what was told."""
        t = t.astimezone(UTC)
        if self._through is not None and t <= self._through:
            raise ValueError(f"{t.isoformat()} was told after {self._through.isoformat()}")
        self._through = t
        own: dict[str, list[Said]] = {}
        for one in answers:
            if one.status in COUNTED:
                own.setdefault(one.model_id, []).append(one)
        for model_id, said in own.items():
            self._count(t, model_id, said)

    def _count(self, t: datetime, model_id: str, said: list[Said]) -> None:
        """One instant of a model: it failed where every answer that counts did."""
        deployment = max(one.deployment or "" for one in said)
        row = self._rows.get(model_id)
        if row is None or row.deployment != deployment:
            row = self._rows[model_id] = _Row(deployment)
        if any(one.status not in FAILURES for one in said):
            row.failures = row.timeouts = 0
            return
        timed_out = any(one.status == "TIMEOUT" for one in said)
        row.failures, row.timeouts = row.failures + 1, row.timeouts + 1 if timed_out else 0
        counts: tuple[tuple[AnswerStatus, int, int], ...] = (
            ("TIMEOUT", row.timeouts, self._rule.timeouts),
            ("FAILED", row.failures, self._rule.failures),
        )
        for kind, count, most in counts:
            if 0 < most <= count:
                until = min(t + self._rule.length, self._end.astimezone(UTC))
                last = min(one.reason for one in said)  # of several configs the same one, whoever tells it
                row.failures = row.timeouts = 0
                row.suspension = Suspension(t, until, count, kind, last)
                return
