"""Whom a live run tells what it does: Dagster's event log, or whoever runs it without Dagster."""

from typing import Protocol

from coordinator_dagster.runtime import Runtime
from coordinator_dagster.windows import Window


class Tell(Protocol):
    """Called from threads, never on the way of a cycle."""

    def log(self, text: str) -> None:
        """Something worth a line."""
        ...

    def problem(self, text: str) -> None:
        """Something that an operator should look at."""
        ...

    def observed(self, runtime: Runtime, window: Window) -> None:
        """The open window has gone on: its tables say how far."""
        ...

    def closed(self, runtime: Runtime, window: Window) -> None:
        """The window is over and settled."""
        ...

    def frozen(self, day: str) -> None:
        """A day's final board is frozen; `day` is its partition."""
        ...
