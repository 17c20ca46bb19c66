"""What the sensors of a process look at, opened once: a sensor is evaluated every few seconds, for months."""

from functools import cached_property

from coordinator_dagster.competition import Competition
from coordinator_dagster.runtime import Runtime
from coordinator_dagster.store.store import open_store


class KeptRuntime:
    """The competition's runtime, opened at the first evaluation and kept; definitions touch no database."""

    def __init__(self, competition: Competition) -> None:
        self.competition = competition

    @cached_property
    def runtime(self) -> Runtime:
        return Runtime(self.competition, open_store(self.competition))
