"""The one place where the coordinator asks for the time."""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

import httpx

from coordinator_dagster.errors import UserError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TIMEOUT_SECONDS = 5
ASKED_TIMES = 5


class Clock(Protocol):
    """Tells the time in UTC and waits for it. Seconds of this clock pass `speed` times as fast as real ones."""

    @property
    def speed(self) -> float: ...

    def now(self) -> datetime: ...

    async def sleep_until(self, moment: datetime) -> None: ...


class SystemClock:
    """The machine's clock."""

    speed = 1.0

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep_until(self, moment: datetime) -> None:
        await _wait(self, moment)


class RunningClock:
    """A clock of its own that showed `then` at the monotonic second `mark` and runs `speed` times as fast as ours."""

    def __init__(self, then: datetime, speed: float, mark: float | None = None) -> None:
        self.speed = speed
        self._then, self._mark = then, time.monotonic() if mark is None else mark

    def now(self) -> datetime:
        return self._then + timedelta(seconds=(time.monotonic() - self._mark) * self.speed)

    async def sleep_until(self, moment: datetime) -> None:
        await _wait(self, moment)


def venue_clock(url: str) -> RunningClock:
    """A venue's own clock, that may run faster than real time: asked once at `url`, then followed.

    The answer is JSON: `{"now_ms": milliseconds since the epoch, "speed": its seconds per real second}`, as the
    stand-in exchange gives it at `/_control/clock`. UserError when it is not.
    """
    try:
        with httpx.Client(timeout=TIMEOUT_SECONDS) as client:
            asked = [_ask(client, url) for _ in range(ASKED_TIMES)]
    except (httpx.HTTPError, ValueError, TypeError, LookupError) as error:
        raise UserError(f"CLOCK_URL={url} does not tell the time: {error!r}; unset it, or start the venue") from None
    _, mark, then, speed = min(asked)
    if speed <= 0:
        raise UserError(f"CLOCK_URL={url}: the clock stands still (speed {speed:g}); let it run")
    return RunningClock(then, speed, mark)


def _ask(client: httpx.Client, url: str) -> tuple[float, float, datetime, float]:
    """How long the answer took, the middle of it, and what the clock showed there: the quicker, the surer."""
    asked = time.monotonic()
    answer = client.get(url).raise_for_status().json()
    answered = time.monotonic()
    then = EPOCH + timedelta(milliseconds=float(answer["now_ms"]))
    return answered - asked, (asked + answered) / 2, then, float(answer["speed"])


@dataclass
class FixedClock:
    """A clock that stands still, for replays over a tape that has ended and for tests."""

    moment: datetime
    speed: float = 1.0

    def now(self) -> datetime:
        return self.moment

    async def sleep_until(self, moment: datetime) -> None:
        self.moment = max(self.moment, moment)


async def _wait(clock: Clock, moment: datetime) -> None:
    while (left := (moment - clock.now()).total_seconds()) > 0:
        await asyncio.sleep(left / clock.speed)


def open_clock(url: str | None) -> Clock:
    """The clock of a competition: the machine's, or the one at CLOCK_URL."""
    return venue_clock(url) if url else SystemClock()
