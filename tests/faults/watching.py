"""Looks at a tape every moment while it is written: what is missing must be visible, what is there must be true."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text

from coordinator_dagster.clock import Clock
from coordinator_dagster.store.database import Database
from slots.market import MarketRecord, Series
from tests.faults.plan import Plan
from tests.faults.truth import SERIES, truth

LOOK_SECONDS = 0.3
IN_FLIGHT_SECONDS = 1.0  # from a trade to its push or its answer, on a machine with little time for it
MUTE_SECONDS = 5.0  # the same where the venue said that the trade's time was over, then fell silent, REST too
STATE = "select provider, asset, kind, granularity, complete_through from market_ingestion_state"
STANDING = (
    "select provider, asset, kind, granularity, gap_start, gap_end from market_gaps where state in ('open', 'healing')"
)
RECORDS = "select provider, asset, kind, granularity, ts_event from market_records"


@dataclass
class Look:
    """One snapshot: what of each series is there, through when it is complete, and its standing gaps."""

    at: datetime
    through: dict[Series, datetime] = field(default_factory=dict)
    gaps: dict[Series, list[tuple[datetime, datetime]]] = field(default_factory=dict)
    there: dict[Series, set[datetime]] = field(default_factory=dict)

    def hole(self, record: MarketRecord) -> bool:
        """It is not there, and neither the series' end nor a gap says so."""
        series, at = record.series, record.ts_event
        through = self.through.get(series)
        if at in self.there.get(series, ()) or through is None or record.event_end > through:
            return False
        tick = series.kind == "tick"
        gaps = self.gaps.get(series, [])
        return not any(start < at <= end if tick else start <= at < end for start, end in gaps)


def look(database: Database, clock: Clock) -> Look:
    """The tape as one snapshot has it, at a time not before it was taken."""
    with database.engine.connect() as connection:
        connection = connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            found = Look(clock.now())
            for *key, through in connection.execute(text(STATE)):
                if through:
                    found.through[Series(*key)] = through
            for *key, start, end in connection.execute(text(STANDING)):
                found.gaps.setdefault(Series(*key), []).append((start, end))
            for *key, at in connection.execute(text(RECORDS)):
                found.there.setdefault(Series(*key), set()).add(at)
            found.at = clock.now()
    return found


class Watcher:
    """A thread that looks at one tape until it is stopped; `faults` are what should not have been."""

    def __init__(self, name: str, database: Database, clock: Clock, plan: Plan, folder: Path, since: datetime) -> None:
        self._name, self._database, self._clock, self._plan = name, database, clock, plan
        end = plan.end + timedelta(hours=1)
        self._truth = {series: truth(folder, series, since, end) for series in SERIES}
        self.faults: list[str] = []
        self.looks = self.brief = 0
        self._last = Look(clock.now())
        self._told: set[tuple[Series, datetime]] = set()
        self._suspects: dict[tuple[Series, datetime], float] = {}  # when each hole was seen first, real seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Watcher":
        self._thread.start()
        return self

    def __exit__(self, *exc: Any) -> None:
        self._stop.set()
        self._thread.join(10)

    def _run(self) -> None:
        try:
            while not self._stop.wait(LOOK_SECONDS):
                self.check(look(self._database, self._clock))
        except Exception as error:
            self.faults.append(f"{self._name}: the watcher died: {error!r}")

    def check(self, found: Look) -> None:
        """What is wrong in a snapshot. A hole may be one for as long as what fills it can be in flight."""
        self.looks += 1
        now, suspects = time.monotonic(), dict[tuple[Series, datetime], float]()
        for series, records in self._truth.items():
            known, there = {one.ts_event for one in records}, found.there.get(series, set())
            for at in sorted(there - known):
                self._fault(f"{series}: a record at {at} that the venue never had")
            newest = max(there, default=None)
            if newest and newest + series.step > found.at:
                self._fault(f"{series}: the record of {newest} was there at {found.at}")
            before, through = self._last.through.get(series), found.through.get(series)
            if before and (through is None or through < before):
                self._fault(f"{series}: complete_through went back from {before} to {through}")
            for record in filter(found.hole, records):
                at = record.ts_event
                if series.kind == "tick" and self._plan.withheld(at) and not (newest and newest > at):
                    continue  # the venue says that there was no trade; a later one's number tells that there was
                since = suspects[series, at] = self._suspects.get((series, at), now)
                allowed = MUTE_SECONDS if self._plan.hurried(at) else IN_FLIGHT_SECONDS
                if now - since > allowed and (series, at) not in self._told:
                    self._told.add((series, at))
                    gaps = [f"{a:%H:%M:%S.%f}-{b:%H:%M:%S.%f}" for a, b in found.gaps.get(series, [])]
                    self._fault(f"not visible: {series}: {at} at {found.at}, complete through {through}, gaps {gaps}")
        self.brief += len(self._suspects.keys() - suspects.keys())
        self._last, self._suspects = found, suspects

    def _fault(self, text: str) -> None:
        if len(self.faults) < 20:
            self.faults.append(f"{self._name}: {text}")


def until(reached: Callable[[], bool], seconds: float) -> bool:
    """Whether it is so within so many real seconds."""
    end = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True
