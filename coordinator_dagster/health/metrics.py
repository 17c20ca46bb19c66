"""The readings as Prometheus takes them. All are gauges: they are read anew of what is stored, at each scrape."""

import math
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from coordinator_dagster.competition import Competition
from coordinator_dagster.health.judging import healthy, judge
from coordinator_dagster.health.judging_contest import settle_limit
from coordinator_dagster.health.look import Look
from coordinator_dagster.health.readings import Contest, Cycles, Dagster, Readings
from coordinator_dagster.release import version

KEPT_SECONDS = 5.0  # several scrapers share what was read
PERCENTILES = ("50", "99")
STATUSES = ("SUCCESS", "FAILED", "TIMEOUT", "LATE", "ABSENT", "SUSPENDED", "PLATFORM_FAULT")
STATES = ("active", "suspended", "disqualified", "LEFT")
SEVERITIES = ("critical", "warning")
Samples = Sequence[tuple[tuple[str, ...], float]]


@dataclass(frozen=True)
class Metric:
    """A gauge; each has the label `competition` and these."""

    help: str
    labels: tuple[str, ...] = ()


METRICS: Mapping[str, Metric] = {
    "coordinator_up": Metric("1: the database was read; 0: it is away, or its tables are of another version."),
    "coordinator_info": Metric("Always 1; the labels say what it is.", ("mode", "pack", "release")),
    "coordinator_healthy": Metric("1: `coordinator status` says healthy; 0: it does not."),
    "coordinator_findings": Metric("Things that `coordinator status` names.", ("severity",)),
    "coordinator_disk_free_bytes": Metric("Free bytes where the competition's folder is."),
    "coordinator_schema_bytes": Metric("Bytes of the competition's tables and indexes."),
    "coordinator_live_run_due": Metric("1: a live run should be at work now."),
    "coordinator_waiting_run_due": Metric("1: another live run should wait for the first one."),
    "coordinator_live_runs": Metric("Live runs that renew their lease; role: at_work, waiting.", ("role",)),
    "coordinator_paused": Metric("1: an order pauses the competition now."),
    "coordinator_last_cycle_timestamp_seconds": Metric("The newest performed instant, Unix time; none yet: absent."),
    "coordinator_next_cycle_timestamp_seconds": Metric("The next instant at which models are asked; none: absent."),
    "coordinator_cadence_seconds": Metric("Seconds from one instant to the next; nothing to come: absent."),
    "coordinator_cycle_overdue_seconds": Metric("Seconds since the first due instant that nobody has performed."),
    "coordinator_cycles": Metric(
        "Cycles of the last hour; status: performed, missed (not paused ones), paused.", ("config", "status")
    ),
    "coordinator_cycles_missed_lately": Metric("Cycles of the last 10 minutes that were missed, not paused ones."),
    "coordinator_cycle_latency_seconds": Metric(
        "Seconds after the instant, over the last hour; stage: dispatched (the last call was sent), stored.",
        ("config", "stage", "percentile"),
    ),
    "coordinator_start_within_seconds": Metric("Seconds after its instant in which a cycle must start.", ("config",)),
    "coordinator_answers": Metric("Models' answers of the last hour, by status.", ("status",)),
    "coordinator_models": Metric("Models by state.", ("state",)),
    "coordinator_models_failing": Metric("Active models that answered less than half in the last hour."),
    "coordinator_series_lag_seconds": Metric(
        "Seconds between now and what can be known of a series; a candle's step is none; not begun: +Inf.", ("series",)
    ),
    "coordinator_series_complete_through_timestamp_seconds": Metric(
        "Nothing of the series at or before is still to come, Unix time; not begun: absent.", ("series",)
    ),
    "coordinator_gaps": Metric("Gaps that stand: open or healing.", ("series",)),
    "coordinator_gap_age_seconds": Metric("Seconds since the oldest standing gap was seen; none: 0.", ("series",)),
    "coordinator_cycles_unsettled": Metric("Cycles without a truth that could have one.", ("config",)),
    "coordinator_settle_lag_seconds": Metric("Seconds since the oldest of these could have had it.", ("config",)),
    "coordinator_settle_within_seconds": Metric("Seconds in which a truth should be there.", ("config",)),
    "coordinator_board_age_seconds": Metric("Seconds since the newest board was made; none yet: absent."),
    "coordinator_board_within_seconds": Metric(
        "Seconds in which the board is made anew; no truth is the market's: +Inf."
    ),
    "coordinator_board_final": Metric("1: the newest board is final; none yet: absent."),
    "coordinator_checks_failed": Metric("Asset checks whose newest evaluation failed.", ("severity",)),
    "coordinator_check_failed": Metric(
        "1 for each asset check whose newest evaluation failed.", ("asset", "check", "severity")
    ),
    "coordinator_checks_evaluated_timestamp_seconds": Metric("The newest evaluation of a check; none yet: absent."),
    "coordinator_job_failed": Metric("1 for each job whose newest run of the last day failed.", ("job",)),
    "coordinator_read_seconds": Metric("Seconds that reading all this took."),
}


class StandingCollector(Collector):
    """Reads when it is scraped; what it read serves for some seconds. What it cannot do fails the scrape."""

    def __init__(self, competition: Competition, look: Look) -> None:
        self._competition, self._look = competition, look
        self._lock = threading.Lock()
        self._kept: tuple[float, list[GaugeMetricFamily]] | None = None

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Without reading anything: else registering would."""
        return [_family(name) for name in METRICS]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        with self._lock:
            now = time.monotonic()
            if self._kept is None or now - self._kept[0] > KEPT_SECONDS:
                readings = self._look.take()
                took = time.monotonic() - now
                found = {**samples(self._competition, readings), "coordinator_read_seconds": [((), took)]}
                self._kept = now, list(self._families(found))
            yield from self._kept[1]

    def _families(self, found: Mapping[str, Samples]) -> Iterator[GaugeMetricFamily]:
        if unknown := found.keys() - METRICS.keys():
            raise KeyError(f"without a help text: {', '.join(unknown)}")
        for name in METRICS:
            family = _family(name)
            for labels, value in found.get(name, ()):
                family.add_metric([self._competition.settings.competition, *labels], value)
            yield family


def _family(name: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, METRICS[name].help, labels=["competition", *METRICS[name].labels])


def samples(competition: Competition, readings: Readings) -> dict[str, Samples]:
    """Each metric's samples; what is not known has none."""
    settings, findings = competition.settings, judge(competition, readings)
    found: dict[str, Samples] = {
        "coordinator_up": _one(readings.database is not None and not readings.other_version),
        "coordinator_info": [((settings.mode, competition.pack.id, version()), 1.0)],
        "coordinator_healthy": _one(healthy(findings)),
        "coordinator_findings": [((one,), sum(f.severity == one for f in findings)) for one in SEVERITIES],
        "coordinator_disk_free_bytes": _one(readings.disk_free),
    }
    if readings.contest:
        found |= _work(readings.contest) | _cycles(readings.contest)
        found |= _data(readings.contest) | _models(readings.contest)
    if readings.dagster:
        found |= _dagster(readings.dagster)
    return found


def _one(value: Any) -> Samples:
    return [] if value is None else [((), float(value))]


def _work(contest: Contest) -> dict[str, Samples]:
    due = contest.due
    return {
        "coordinator_schema_bytes": _one(contest.size),
        "coordinator_live_run_due": _one(due.working),
        "coordinator_waiting_run_due": _one(due.waiting),
        "coordinator_live_runs": [
            (("at_work",), float(contest.at_work is not None)),
            (("waiting",), float(len(contest.waiting))),
        ],
        "coordinator_paused": _one(due.paused is not None),
        "coordinator_last_cycle_timestamp_seconds": _one(contest.last and contest.last.timestamp()),
        "coordinator_next_cycle_timestamp_seconds": _one(due.next and due.next.timestamp()),
        "coordinator_cadence_seconds": _one(due.cadence),
        "coordinator_cycle_overdue_seconds": _one(due.overdue),
    }


def _cycles(contest: Contest) -> dict[str, Samples]:
    cycles = {name: contest.by_config.get(name, Cycles()) for name in {*contest.by_config, *contest.start_within}}
    latencies = [
        ((name, stage, percentile), value)
        for name, one in sorted(cycles.items())
        for stage, pair in (("dispatched", one.dispatched), ("stored", one.stored))
        for percentile, value in zip(PERCENTILES, pair or (), strict=False)
    ]
    counts = [
        ((name, status), float(getattr(one, status)))
        for name, one in sorted(cycles.items())
        for status in ("performed", "missed", "paused")
    ]
    return {
        "coordinator_cycles": counts,
        "coordinator_cycles_missed_lately": _one(contest.every.missed_lately),
        "coordinator_cycle_latency_seconds": latencies,
        "coordinator_start_within_seconds": [((name,), value) for name, value in contest.start_within.items()],
    }


def _data(contest: Contest) -> dict[str, Samples]:
    tape, unsettled, board = contest.tape, contest.unsettled, contest.board
    return {
        "coordinator_series_lag_seconds": [
            ((one.series,), math.inf if one.behind is None else one.behind) for one in tape
        ],
        "coordinator_series_complete_through_timestamp_seconds": [
            ((one.series,), one.through.timestamp()) for one in tape if one.through
        ],
        "coordinator_gaps": [((one.series,), one.gaps) for one in tape],
        "coordinator_gap_age_seconds": [((one.series,), one.gap_age) for one in tape],
        "coordinator_cycles_unsettled": [((name,), one.cycles) for name, one in unsettled.items()],
        "coordinator_settle_lag_seconds": [((name,), one.lag) for name, one in unsettled.items()],
        "coordinator_settle_within_seconds": [
            ((name,), settle_limit(contest, one.external)) for name, one in unsettled.items()
        ],
        "coordinator_board_age_seconds": _one(board and board.age),
        "coordinator_board_within_seconds": _one(contest.board_within),
        "coordinator_board_final": _one(board and board.final),
    }


def _models(contest: Contest) -> dict[str, Samples]:
    answers, states = contest.answers, contest.states()
    return {
        "coordinator_answers": [((one,), answers[one]) for one in STATUSES],
        "coordinator_models": [((one,), states[one]) for one in STATES],
        "coordinator_models_failing": _one(sum(one.failing for one in contest.models)),
    }


def _dagster(found: Dagster) -> dict[str, Samples]:
    return {
        "coordinator_checks_failed": [
            ((severity,), sum(one.severity == severity for one in found.checks)) for severity in ("ERROR", "WARN")
        ],
        "coordinator_check_failed": [((one.asset, one.check, one.severity), 1.0) for one in found.checks],
        "coordinator_checks_evaluated_timestamp_seconds": _one(found.checked and found.checked.timestamp()),
        "coordinator_job_failed": [((one.job,), 1.0) for one in found.runs],
    }
