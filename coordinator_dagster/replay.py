"""Run the whole loop over past windows, without Dagster around it: the same stages, in bulk."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from coordinator_dagster.runtime import WINDOWS_AT_ONCE, Runtime
from coordinator_dagster.windows import Window, stretches


@dataclass
class ReplayReport:
    """What the replay did, in all."""

    windows: int = 0
    records: int = 0
    cycles: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    resolved: int = 0
    void: int = 0
    pending: int = 0
    scored: int = 0
    reasons: list[str] = field(default_factory=list)


def replay(runtime: Runtime, windows: Sequence[Window], progress: Callable[[int], None]) -> ReplayReport:
    """Every stage over these windows, a day's worth at a time; `progress` is told how many are done."""
    report = ReplayReport()
    for some in stretches(windows, WINDOWS_AT_ONCE):
        report.records += runtime.ingest(some).new
        given = runtime.build_inputs(some)
        asked = runtime.predict(some)
        settled = runtime.resolve(some)
        report.scored += runtime.score(some).scored
        runtime.aggregate(some)
        runtime.rank(some)
        report.windows += len(some)
        report.cycles += asked.performed
        report.statuses.update(asked.statuses)
        report.resolved += settled.resolved
        report.void += settled.void
        report.pending = settled.pending
        report.reasons = [reason for reason in (given.reason, settled.reason) if reason]
        progress(len(some))
    return report
