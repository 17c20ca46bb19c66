"""A live competition that lost hours, its clock and its market in our hands, and the sensor that settles them."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import text

from coordinator_dagster import resources
from coordinator_dagster.clock import FixedClock
from coordinator_dagster.code_location import build_definitions
from coordinator_dagster.competition import Competition
from coordinator_dagster.runtime import Runtime
from coordinator_dagster.sensors.kept import KeptRuntime
from slots.market import utc
from tests.original_faults.world import HOUR, FailingFeed, always, opened, perform, rows, settle, windows_of

SENSOR = "{}_watermark_sensor"
CRASH = utc("2026-01-05T02:00Z")
MODELS = {"a": always(0.001), "b": always(0.002)}


class LostHours:
    """Hours 0 and 1 were performed, and hour 0 settled; then nothing ran. Runs are executed in this process."""

    def __init__(self, made: Competition, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = FixedClock(CRASH)
        self.feed = FailingFeed(self.clock)
        with opened(made, MODELS, feed=self.feed, clock=self.clock) as runtime:
            windows = windows_of(made)[:2]
            perform(runtime, windows)
            settle(runtime, windows[:1])
            with runtime.store.database.transaction() as connection:
                connection.execute(text("update competition set mode = 'live'"))
        self.made = dataclasses.replace(made, settings=made.settings.model_copy(update={"mode": "live"}))
        self.instance, self.cursor = instance, None
        self.kept = KeptRuntime(self.made)
        self.runtime.__dict__.update(feed=self.feed, clock=self.clock)
        monkeypatch.setattr(resources, "open_runtime", self._open)

    @property
    def runtime(self) -> Runtime:
        return self.kept.runtime

    @contextmanager
    def _open(self, competition: Competition, _as_it_stands: bool) -> Iterator[Runtime]:
        with opened(competition, MODELS, feed=self.feed, clock=self.clock) as runtime:
            yield runtime

    @cached_property
    def definitions(self) -> dg.Definitions:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("coordinator_dagster.code_location.KeptRuntime", lambda competition: self.kept)
            return build_definitions(self.made)

    def look(self) -> Any:
        """One evaluation, as the daemon does it: requests, or why there are none."""
        repository = self.definitions.get_repository_def()
        sensor = repository.get_sensor_def(SENSOR.format(self.made.schema))
        context = dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, repository_def=repository, sensor_name=sensor.name
        )
        found = sensor.evaluate_tick(context)
        self.cursor = found.cursor
        return found

    def at(self, moment: str) -> "LostHours":
        self.clock.moment = utc(moment)
        return self

    def later(self, **span: float) -> "LostHours":
        self.clock.moment += timedelta(**span)
        return self

    def execute(self, request: dg.RunRequest) -> bool:
        job = self.definitions.resolve_job_def(str(request.job_name))
        tags = {**request.tags, "dagster/sensor_name": SENSOR.format(self.made.schema)}
        return job.execute_in_process(instance=self.instance, tags=tags, raise_on_error=False).success

    def until_it_rests(self) -> list[str]:
        """Evaluate and execute until two looks ask for nothing; what was asked, by first and last window."""
        asked, quiet = [], 0
        while quiet < 2:
            requests = self.look().run_requests or []
            quiet = 0 if requests else quiet + 1
            for request in requests:
                asked.append(span(request))
                assert self.execute(request), span(request)
            assert len(asked) < 10, f"it never rests: {asked}"
            self.later(seconds=30)
        return asked

    def cycles(self) -> dict[str, int]:
        return {
            one["status"]: one["n"] for one in rows(self.runtime, "select status, count(*) n from cycles group by 1")
        }

    def boards(self) -> dict[datetime, bool]:
        """Whether each window's board is final, in the version that stands."""
        version = self.made.score_version()
        found = rows(self.runtime, "select window_start, final from leaderboards where version = :v", v=version)
        return {one["window_start"]: one["final"] for one in found}


def span(request: dg.RunRequest) -> str:
    start, end = (request.tags[f"dagster/asset_partition_range_{which}"] for which in ("start", "end"))
    return f"{start[8:13]}..{end[8:13]}"


def hours(first: int, last: int) -> list[datetime]:
    return [utc("2026-01-05T00:00Z") + n * HOUR for n in range(first, last)]


Lost = Callable[..., LostHours]
