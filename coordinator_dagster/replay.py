"""Run the whole loop over past windows, without Dagster around it: the same stages, in bulk."""

from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field

from coordinator_dagster.bulk import bulk
from coordinator_dagster.replay_workers import FEW, started
from coordinator_dagster.runtime import Runtime
from coordinator_dagster.stages.inputs import InputsReport
from coordinator_dagster.stages.predict import PredictReport
from coordinator_dagster.windows import WINDOWS_AT_ONCE, Window, stretches

Asked = tuple[InputsReport, PredictReport]
Asking = Generator[tuple[list[Window], list[Asked]], None, None]

ROUNDS = 3  # so often a worker is asked for a few windows before these are settled


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


def replay(
    runtime: Runtime, windows: Sequence[Window], progress: Callable[[int], None], workers: int = 1
) -> ReplayReport:
    """Every stage over these windows, a day's worth at a time; `progress` is told how many are done.

    More than one of `workers` ask the models of the next windows while the last ones are settled here.
    """
    report = ReplayReport()
    asking = _in_turn(runtime, windows, report) if workers == 1 else _ahead(runtime, windows, report, workers)
    with bulk(), closing(asking):
        for some, asked in asking:
            settled = runtime.resolve(some)
            report.scored += runtime.score(some).scored
            runtime.aggregate(some)
            runtime.rank(some)
            report.windows += len(some)
            report.cycles += sum(one.performed for _, one in asked)
            for _, one in asked:
                report.statuses.update(one.statuses)
            report.resolved += settled.resolved
            report.void += settled.void
            report.pending = settled.pending
            report.reasons = [reason for reason in (asked[-1][0].reason, settled.reason) if reason]
            progress(len(some))
    return report


def _in_turn(runtime: Runtime, windows: Sequence[Window], report: ReplayReport) -> Asking:
    for some in stretches(windows, WINDOWS_AT_ONCE):
        report.records += runtime.ingest(some).new
        yield some, [_ask(runtime, some)]


def _ahead(runtime: Runtime, windows: Sequence[Window], report: ReplayReport, count: int) -> Asking:
    with started(runtime, count) as workers:
        coming: deque[tuple[list[Window], list[Future[Asked]]]] = deque()
        for some in stretches(windows, FEW * ROUNDS * count):
            report.records += runtime.ingest(some).new
            coming.append((some, workers.do(_ask, some)))
            if len(coming) > 1:
                yield _answered(*coming.popleft())
        if coming:
            yield _answered(*coming.popleft())


def _answered(windows: list[Window], asked: list[Future[Asked]]) -> tuple[list[Window], list[Asked]]:
    return windows, [one.result() for one in asked]


def _ask(runtime: Runtime, windows: Sequence[Window]) -> Asked:
    return runtime.build_inputs(windows), runtime.predict(windows)
