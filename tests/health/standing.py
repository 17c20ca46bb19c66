"""A competition in good health as it is read, and each way in which it is not: one table for findings and alerts."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from coordinator_dagster.health.readings import (
    Board,
    Contest,
    Cycles,
    Dagster,
    Due,
    FailedCheck,
    FailedRun,
    Model,
    Readings,
    Tape,
    Unsettled,
    Worker,
)

NOW = datetime(1970, 1, 1, 0, 30, tzinfo=UTC)  # promtool's time begins at the epoch
CONFIG, SERIES = "btc-60s", "simulated/BTC/candle/1m"
WELL = Cycles(60, 0, 0, 0, None, (0.2, 0.4), (0.3, 0.6))
CONTEST = Contest(
    Due(True, True, NOW + timedelta(seconds=30), 60.0, 0.0),
    {CONFIG: 7.0},
    300.0,
    420.0,
    Worker("run-1", "1970-01-01-00:00", NOW),
    [Worker("run-2", "1970-01-01-01:00", NOW)],
    NOW - timedelta(seconds=30),
    WELL,
    {CONFIG: WELL},
    [Tape(SERIES, NOW - timedelta(seconds=30), 0.0)],
    {CONFIG: Unsettled(1, 20.0)},
    Board(NOW, False, 30.0),
    [Model(name, "active", None, None, {"SUCCESS": 60}) for name in "abc"],
    1_000_000,
)
HEALTHY = Readings(NOW, "15.8", "", False, CONTEST, Dagster((), (), NOW, 0.0), 80_000_000_000)


@dataclass(frozen=True)
class Case:
    """Something is wrong: what is found of it, how bad that is, and which alerts fire (all that do, but for the one of
    all that is critical)."""

    name: str
    readings: Readings
    what: str
    severity: str
    alerts: tuple[str, ...] = ()
    also: tuple[str, ...] = ()  # findings that come with it


def contest(**changes: Any) -> Readings:
    return replace(HEALTHY, contest=replace(CONTEST, **changes))


def cycles(**changes: Any) -> Readings:
    found = replace(WELL, **changes)
    return contest(every=found, by_config={CONFIG: found})


def due(**changes: Any) -> Due:
    return replace(CONTEST.due, **changes)


def tape(**changes: Any) -> Readings:
    return contest(tape=[replace(CONTEST.tape[0], **changes)])


def models(*states: str, **answers: int) -> Readings:
    given = answers or {"SUCCESS": 60}
    return contest(models=[Model(f"m{n}", state, None, None, given) for n, state in enumerate(states)])


def dagster(**changes: Any) -> Readings:
    return replace(HEALTHY, dagster=replace(Dagster((), (), NOW, 0.0), **changes))


AWAY = replace(HEALTHY, database=None, away="it is away", contest=None, dagster=None)
FAILED = FailedCheck("scores", "audit", "ERROR", NOW)
CASES = (
    Case("database away", AWAY, "database", "critical", ("CoordinatorDatabaseAway",)),
    Case(
        "other version",
        replace(HEALTHY, contest=None, other_version=True),
        "database",
        "critical",
        ("CoordinatorDatabaseAway",),
    ),
    Case("not begun", replace(HEALTHY, contest=None), "begun", "critical"),
    Case("disk low", replace(HEALTHY, disk_free=3_000_000_000), "disk", "warning", ("CoordinatorDiskLow",)),
    Case("disk full", replace(HEALTHY, disk_free=300_000_000), "disk", "critical", ("CoordinatorDiskLow",)),
    Case(
        "nobody works",
        contest(at_work=None, waiting=[]),
        "live run",
        "critical",
        ("CoordinatorNoLiveRun", "CoordinatorNoWaitingRun"),
    ),
    Case("nobody waits", contest(waiting=[]), "waiting run", "warning", ("CoordinatorNoWaitingRun",)),
    Case("overdue", contest(due=due(overdue=200.0)), "overdue", "critical", ("CoordinatorCycleOverdue",)),
    Case("missed now", cycles(missed=3, missed_lately=2), "missed", "critical", ("CoordinatorCyclesMissed",)),
    Case("missed before", cycles(missed=3), "missed", "warning"),
    Case("slow", cycles(dispatched=(0.5, 7.5)), f"latency {CONFIG}", "warning", ("CoordinatorCycleLatency",)),
    Case(
        "late answers",
        models("active", "active", SUCCESS=50, LATE=6, TIMEOUT=4),
        "late answers",
        "warning",
        ("CoordinatorLateAnswers",),
    ),
    Case(
        "nobody answers",
        models("active", FAILED=60),
        "answers",
        "critical",
        ("CoordinatorNobodyAnswers",),
        ("failing",),
    ),
    Case(
        "many faults of ours",
        models("active", SUCCESS=50, PLATFORM_FAULT=10),
        "platform faults",
        "critical",
        ("CoordinatorPlatformFaults",),
    ),
    Case("a fault of ours", models("active", SUCCESS=59, PLATFORM_FAULT=1), "platform faults", "warning"),
    Case("behind", tape(behind=90.0), "tape", "critical", ("CoordinatorTapeBehind",)),
    Case("not begun tape", tape(behind=None, through=None), "tape", "critical", ("CoordinatorTapeBehind",)),
    Case("gap", tape(gaps=2, gap_age=30.0), "gaps", "warning", ("CoordinatorGaps",)),
    Case("old gap", tape(gaps=2, gap_age=50_000.0), "gaps", "critical", ("CoordinatorGaps", "CoordinatorGapOld")),
    Case(
        "settling late",
        contest(unsettled={CONFIG: Unsettled(5, 400.0)}),
        f"settling {CONFIG}",
        "warning",
        ("CoordinatorSettleLag",),
    ),
    Case(
        "settling stuck",
        contest(unsettled={CONFIG: Unsettled(90, 5000.0)}),
        f"settling {CONFIG}",
        "critical",
        ("CoordinatorSettleLag",),
    ),
    Case("board late", contest(board=Board(NOW, False, 500.0)), "board", "warning"),
    Case("board old", contest(board=Board(NOW, False, 4000.0)), "board", "critical", ("CoordinatorBoardOld",)),
    Case(
        "board of far truths old",
        contest(board=Board(NOW, False, 8000.0), board_within=7200.0),
        "board",
        "critical",
        ("CoordinatorBoardOld",),
    ),
    Case("one suspended", models("active", "active", "suspended"), "suspended", "warning"),
    Case(
        "many suspended",
        models("active", "suspended"),
        "suspended",
        "critical",
        ("CoordinatorModelsSuspended",),
    ),
    Case(
        "failing",
        contest(models=[*CONTEST.models, Model("d", "active", None, None, {"SUCCESS": 20, "FAILED": 40})]),
        "failing",
        "warning",
    ),
    Case("no model", models("LEFT", SUCCESS=1), "models", "critical"),
    Case("check failed", dagster(checks=[FAILED]), "checks ERROR", "critical", ("CoordinatorChecksFailed",)),
    Case("check warns", dagster(checks=[replace(FAILED, severity="WARN")]), "checks WARN", "warning"),
    Case(
        "checks old",
        dagster(checked=NOW - timedelta(hours=4), age=14_400.0),
        "checks old",
        "warning",
        ("CoordinatorChecksOld",),
    ),
    Case(
        "checks never",
        replace(HEALTHY, now=NOW + timedelta(hours=3), dagster=Dagster()),
        "checks old",
        "warning",
        ("CoordinatorChecksNever",),
    ),
    Case("run failed", dagster(runs=[FailedRun("loop", "r", NOW)]), "runs", "warning", ("CoordinatorJobFailed",)),
)
EXTERNAL = contest(unsettled={CONFIG: Unsettled(5, 80_000.0, external=True)})
PAUSED = contest(due=due(paused="maintenance", overdue=0.0), every=replace(WELL, paused=5))
ENDED = contest(due=Due(), at_work=None, waiting=[], tape=[replace(CONTEST.tape[0], behind=90_000.0)])
FAR_TRUTHS = contest(board=Board(NOW, False, 4000.0), board_within=7200.0)
STILL_HEALTHY = {
    "healthy": HEALTHY,
    "external truth": EXTERNAL,
    "paused": PAUSED,
    "ended": ENDED,
    "far truths": FAR_TRUTHS,
}
