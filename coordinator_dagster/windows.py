"""Instants and windows: the grid that time is cut into. All times are aware and in UTC."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from slots.tape import boundary

KEY_FORMATS = {"hour": "%Y-%m-%d-%H:%M", "day": "%Y-%m-%d"}
LENGTHS = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
WINDOWS_AT_ONCE = 24  # of the past, in one pass: a day bounds the memory, and is enough for bulk


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """A Dagster partition: the instants with `start <= t < end`."""

    start: datetime
    end: datetime

    @property
    def key(self) -> str:
        """Dagster's partition key."""
        return self.start.strftime(KEY_FORMATS["day" if self.end - self.start == LENGTHS["day"] else "hour"])


@dataclass(frozen=True)
class WindowGrid:
    """The windows of a competition, from its start on."""

    start: datetime
    length: timedelta

    def at(self, moment: datetime) -> Window:
        """The window whose instants `moment` is among."""
        start = boundary(moment, self.length)
        return Window(start, start + self.length)

    def resolving(self, moment: datetime) -> Window:
        """The window `(start, end]` whose board is the first to count what is resolvable at `moment`."""
        window = self.at(moment)
        return Window(window.start - self.length, window.start) if moment == window.start else window

    def between(self, start: datetime, end: datetime) -> list[Window]:
        """The windows that hold the instants in `[start, end)`, none before the competition's start."""
        windows, window = [], self.at(max(start, self.start))
        while window.start < end:
            windows.append(window)
            window = Window(window.end, window.end + self.length)
        return windows

    def of_key(self, key: str) -> Window:
        """The window of a Dagster partition key."""
        day = self.length == LENGTHS["day"]
        return self.at(datetime.strptime(key, KEY_FORMATS["day" if day else "hour"]).replace(tzinfo=UTC))


def instants(window: Window, every: timedelta) -> Iterator[datetime]:
    """The multiples of `every` since the Unix epoch inside the window."""
    moment = boundary(window.start, every)
    if moment < window.start:
        moment += every
    while moment < window.end:
        yield moment
        moment += every


def stretches(windows: Sequence[Window], at_most: int) -> Iterator[list[Window]]:
    """The windows in runs that follow on each other, none longer than `at_most`."""
    run: list[Window] = []
    for window in sorted(windows):
        if run and (run[-1].end != window.start or len(run) == at_most):
            yield run
            run = []
        run.append(window)
    if run:
        yield run
