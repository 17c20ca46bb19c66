"""What a live run tells, kept."""

from dataclasses import dataclass, field

from coordinator_dagster.runtime import Runtime
from coordinator_dagster.windows import Window


@dataclass
class Kept:
    """A `Tell` that remembers."""

    logs: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    days: list[str] = field(default_factory=list)

    def log(self, text: str) -> None:
        self.logs.append(text)

    def problem(self, text: str) -> None:
        self.problems.append(text)

    def observed(self, runtime: Runtime, window: Window) -> None:
        self.seen.append(window.key)

    def closed(self, runtime: Runtime, window: Window) -> None:
        self.done.append(window.key)

    def frozen(self, day: str) -> None:
        self.days.append(day)
