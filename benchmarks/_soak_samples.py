"""What a running competition uses at a moment: memory by kind of process, connections, rows; and how that grows."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from sqlalchemy import create_engine, text

from benchmarks._soak_processes import COMPETITION
from coordinator_dagster.live_processes import processes_of
from coordinator_dagster.store.database import DatabaseAway, with_driver
from coordinator_dagster.store.embedded import start_embedded

MB = 1e6
DAY = timedelta(days=1)
# In the order in which they are looked for in a command line.
SERVICES = {"daemon": "dagster-daemon", "webserver": "dagster-webserver", "code server": " api grpc "}
SUPERVISOR, LIVE_RUN, MODELS, OTHER_RUN, POSTGRES = "supervisor", "live runs", "models", "other runs", "PostgreSQL"
LONG_LIVING = (*SERVICES, SUPERVISOR)
COUNTS = {
    "connections": "select count(*) from pg_stat_activity where backend_type = 'client backend' "
    "and pid <> pg_backend_pid()",
    "event_rows": "select count(*) from dagster.event_logs",
    "event_bytes": "select pg_total_relation_size('dagster.event_logs')",
    "dagster_bytes": "select sum(pg_total_relation_size(c.oid)) from pg_class c "
    "where c.relkind = 'r' and c.relnamespace = to_regnamespace('dagster')",
}
CYCLES = f"select status, count(*) from {COMPETITION}.cycles group by status"
RUNS = "select pipeline_name || ' ' || status, count(*) from dagster.runs group by 1 order by 1"
BY_CLIENT = (
    "select coalesce(nullif(application_name, ''), usename) || ', ' || coalesce(state, '?'), count(*) "
    "from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid() group by 1"
)


@dataclass
class Sample:
    """At a moment of the venue. Memory in MB: one figure for each process of a kind; `own` is what no other shares."""

    at: datetime
    own: dict[str, list[float]]
    resident: dict[str, list[float]]
    counts: dict[str, int] = field(default_factory=dict)
    cycles: dict[str, int] = field(default_factory=dict)
    runs: dict[str, int] = field(default_factory=dict)
    clients: dict[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "at": self.at.isoformat()}


class Sampler:
    """Looks at the processes of a folder and at its embedded server, by one connection, which is not counted."""

    def __init__(self, home: Path, supervisor: int) -> None:
        self._home, self._supervisor = home, supervisor
        self._engine = create_engine(
            with_driver(start_embedded(home)), pool_pre_ping=True, isolation_level="AUTOCOMMIT", pool_size=1
        )

    def close(self) -> None:
        self._engine.dispose()

    def take(self, at: datetime) -> Sample:
        """A sample; without counts while the server is away."""
        sample = Sample(at, *_memory(self._home, self._supervisor))
        try:
            with self._engine.connect() as connection:
                sample.counts = {name: int(connection.scalar(text(sql)) or 0) for name, sql in COUNTS.items()}
        except DatabaseAway:
            return sample
        sample.clients, sample.runs, sample.cycles = (dict(self.rows(sql)) for sql in (BY_CLIENT, RUNS, CYCLES))
        return sample

    def rows(self, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
        with self._engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(sql), parameters)]


def _memory(home: Path, supervisor: int) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """MB of each process by kind: its own alone (of PostgreSQL: its part of what is shared, too), and resident.

    A live run's models are one figure.
    """
    own, resident = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
    for kind, processes in _by_kind(home, supervisor):
        found = []
        for one in processes:
            try:
                found.append(one.memory_full_info())
            except psutil.Error:  # it has just ended
                continue
        if found:
            own[kind].append(sum(one.pss if kind in (MODELS, POSTGRES) else one.uss for one in found) / MB)
            resident[kind].append(sum(one.rss for one in found) / MB)
    return dict(own), dict(resident)


def _by_kind(home: Path, supervisor: int) -> Iterator[tuple[str, list[psutil.Process]]]:
    yield SUPERVISOR, [psutil.Process(supervisor)]
    yield (
        POSTGRES,
        [one for one in psutil.process_iter(["name"]) if one.info["name"] == "postgres" and _of_server(one, home)],
    )
    for one in processes_of(home):
        try:
            line, children = " ".join(one.cmdline()), one.children(recursive=True)
        except psutil.Error:
            continue
        if kind := next((kind for kind, part in SERVICES.items() if part in line), None):
            yield kind, [one]
        elif "--multiprocessing-fork" in line:
            # The process that forks the models does not carry the mark of the folder.
            yield LIVE_RUN if children else OTHER_RUN, [one]
            if children:
                yield MODELS, children


def _of_server(process: psutil.Process, home: Path) -> bool:
    try:
        return process.cwd() == str((home / ".coordinator" / "postgres").resolve())
    except psutil.Error:
        return False


def slope(samples: Sequence[Sample], kind: str, per: timedelta = DAY) -> float:
    """MB that a process of the kind grows in that time of the venue: least squares over the samples' second half."""
    middle = samples[0].at + (samples[-1].at - samples[0].at) / 2
    points = [(one.at, max(one.own[kind])) for one in samples if one.at >= middle and kind in one.own]
    if len(points) < 3:
        return float("nan")
    times = np.array([(at - middle) / per for at, _ in points])
    return float(np.polyfit(times, np.array([size for _, size in points]), 1)[0])
