"""Settles closed windows that no live run has settled: after downtime, when data came late, when slots changed."""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

import dagster as dg

from coordinator_dagster.competition import Competition
from coordinator_dagster.jobs import emission_job_name, loop_job_name
from coordinator_dagster.queues import BATCH_TAGS
from coordinator_dagster.run_tags import range_tags
from coordinator_dagster.runtime import Runtime
from coordinator_dagster.schedule import Schedule
from coordinator_dagster.sensors.closed_windows import Decision, Progress, Unsettled, catching_up, decide
from coordinator_dagster.sensors.kept import KeptRuntime
from coordinator_dagster.sensors.live_runs import ALIVE
from coordinator_dagster.stages.emission import days_over
from coordinator_dagster.stages.ingest import contest_series
from coordinator_dagster.stages.predict import CLOSING
from coordinator_dagster.stages.resolve import GIVE_UP_AFTER
from coordinator_dagster.store.backups import BackupTable
from coordinator_dagster.store.settling import Standing
from coordinator_dagster.windows import LENGTHS, Window

EVERY_SECONDS = 30
MOST_WINDOWS = 500  # in one look and one run
STEP = timedelta(minutes=1)  # a tape that comes nearer by less is not catching up


def watermark_sensor(
    competition: Competition, kept: KeptRuntime, loop: dg.JobDefinition, emission: dg.JobDefinition
) -> dg.SensorDefinition:
    name = f"{competition.schema}_watermark_sensor"
    on = competition.settings.sensors

    @dg.sensor(
        name=name,
        jobs=[loop, emission],
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING if on else dg.DefaultSensorStatus.STOPPED,
        description="Settles closed windows that no live run has settled, one run at a time: after downtime, when "
        "late data came, when slots changed. Freezes the boards of ended days. Turned off, backfill by hand.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        asked_by_us = dg.RunsFilter(tags={"dagster/sensor_name": name}, statuses=ALIVE)
        if unfinished := context.instance.get_run_records(asked_by_us, limit=1):
            return dg.SkipReason(f"waits for run {unfinished[0].dagster_run.run_id} to end")
        progress = Progress.model_validate_json(context.cursor or "{}")
        look = _Look(kept.runtime, progress)
        settling, why = look.settle()
        requests = [one for one in (settling, look.freeze()) if one]
        cursor = progress.model_dump_json()
        return dg.SensorResult(requests, skip_reason=None if requests else why, cursor=cursor)

    return sensor


class _Look:
    """One evaluation; it changes `progress`."""

    def __init__(self, runtime: Runtime, progress: Progress) -> None:
        self.runtime, self.progress, self.now = runtime, progress, runtime.clock.now()
        self.competition: Competition = runtime.competition
        self.schedule: Schedule = runtime.store.schedule(self.competition)
        self.versions = self.competition.truth_version(), self.competition.score_version()
        series = contest_series(self.competition, runtime.feed)
        # A tape that is not begun is through where it will begin.
        start = self.competition.tape_start
        self.tape = {one: runtime.store.tape.knowable_through([one]) or start for one in series}

    def settle(self) -> tuple[dg.RunRequest | None, str]:
        """A run over the windows that need one; or in words what is waited for."""
        self._begin()
        progress, windows = self.progress, self._windows()
        if not windows:
            return None, self._settled()
        through, needed = min(self.tape.values(), default=self.now), windows[-1].end
        due = {one: self.schedule.count(one) for one in windows}
        look_back = self.competition.pack.look_back
        decision = decide(progress, windows, due, self._standings(windows), through, look_back, self.now)
        behind = (self.now - through).total_seconds() if through < needed else None
        tape = ", ".join(f"{one} is complete through {at}" for one, at in self.tape.items())
        if decision.asked and catching_up(progress, behind, max([STEP, *(one.step for one in self.tape)])):
            progress.behind = behind
            return None, f"{len(decision.asked)} windows wait until the tape has caught up: {tape}"
        progress.behind, progress.unsettled = behind, decision.unsettled
        progress.through = max(needed, progress.through or needed)
        if decision.asked:
            return self._request(decision), ""
        if not decision.unsettled:
            return None, self._settled()
        return None, f"{len(decision.unsettled)} windows wait for data, or rest until they are asked for again: {tape}"

    def _settled(self) -> str:
        return f"every window is settled up to {self.progress.through}, and none has closed since"

    def _begin(self) -> None:
        """Where to look from: after a change, from the first window that the board shown looks back on."""
        newest_order = max((one.id for one in self.schedule.orders.every), default=0)
        basis = f"{self.versions[1]}, {newest_order} orders"
        if restored := BackupTable(self.runtime.store.database).last_restored():
            basis += f", restored {restored.isoformat()}"  # what was settled since that backup is not any more
        if self.progress.basis == basis and self.progress.through:
            return
        grid, start = self.competition.windows, self.competition.start
        scored = self.runtime.store.settled.scored_through() or start
        first = grid.at(max(start, scored - self.competition.pack.look_back - grid.length)).start
        self.progress.through = min(first, self.progress.through or first)
        self.progress.basis = basis
        self.progress.unsettled = {at: one for at, one in self.progress.unsettled.items() if at < self.progress.through}

    def _windows(self) -> list[Window]:
        """Those that are not settled, and those that have closed since the last look."""
        grid, through = self.competition.windows, self.progress.through or self.competition.start
        closed = min(self.now - CLOSING, self.schedule.last_truth() or self.now)
        new = [one for one in grid.between(through, closed) if one.end <= self.now - CLOSING]
        return [*map(grid.at, sorted(self.progress.unsettled)), *new[:MOST_WINDOWS]]

    def _standings(self, windows: Sequence[Window]) -> dict[datetime, Standing]:
        """What is overdue is decided without its data; else a truth could be here once its series are through."""
        overdue, pack, through = self.now - GIVE_UP_AFTER, self.competition.pack, {}
        for name, config in self.schedule.configs().items():
            needed = {(one.asset, one.kind, one.granularity) for one in pack.series_of(config)}
            known = [at for one, at in self.tape.items() if (one.asset, one.kind, one.granularity) in needed]
            through[name] = max(overdue, min([*known, self.now - CLOSING]))
        starts, length = [one.start for one in windows], self.competition.windows.length
        return self.runtime.store.settled.standings(starts, length, self.versions, through, overdue)

    def _request(self, decision: Decision) -> dg.RunRequest:
        """One run from the first to the last: what needs nothing in between costs it little."""
        first, unsettled = decision.asked[0], self.progress.unsettled
        most = first.start + MOST_WINDOWS * self.competition.windows.length
        last = [one for one in decision.asked if one.start < most][-1]
        digest = hashlib.sha256(f"{self.progress.basis} {sorted(unsettled.items())}".encode()).hexdigest()[:12]
        for start in decision.needing & unsettled.keys():
            if first.start <= start <= last.start:
                unsettled[start] = Unsettled(asked=self.now)
        return _range_request(loop_job_name(self.competition), first, last, f"@{digest}.{self.now:%Y%m%d%H}")

    def freeze(self) -> dg.RunRequest | None:
        """A run for the days whose boards are final and not frozen."""
        days = days_over(self.competition, self.runtime.store, self.now)
        rows = self.runtime.store.checkpoints.unfrozen([day.end for day in days], list(days.values()))
        ready = [Window(row.day_end - LENGTHS["day"], row.day_end) for row in rows if row.final]
        version = f"@{self.now:%Y%m%d%H}"  # a run that failed is asked for again, an hour later
        return _range_request(emission_job_name(self.competition), ready[0], ready[-1], version) if ready else None


def _range_request(job: str, first: Window, last: Window, version: str) -> dg.RunRequest:
    tags = BATCH_TAGS | range_tags(first.key, last.key)
    return dg.RunRequest(f"{job} {first.key}..{last.key}{version}", job_name=job, tags=tags)
