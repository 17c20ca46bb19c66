"""One connection to Binance's combined streams, from its first message until it is lost.

Time passes by what the venue pushes. Where it pushes nothing, its answer to a question stands in: what it had
pushed before it answered has come by then, for messages keep their order.
"""

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import WebSocketException

from coordinator_dagster.clock import Clock
from coordinator_dagster.feeds.base import Heard
from coordinator_dagster.feeds.binance_pushed import ConnectionLost, PushedCandles, PushedTicks
from coordinator_dagster.feeds.binance_records import EPOCH, NONSENSE, moment
from coordinator_dagster.feeds.fates import Fates
from slots.market import NoPrice, Series

# Real seconds, however fast the venue's clock runs
SILENCE_SECONDS = 3.0  # the venue pushes every two, and answers at once
FLUSH_SECONDS = 0.1  # between two pieces: each one is written to the database
PUSH_SECONDS = (
    0.08  # from a trade to its push, or to the end of a broken line; on a clock like ours less than the delay
)
QUESTION_SECONDS = 0.02  # between two questions, at least
BEATS = (1, 3, 5, 15, 60)  # seconds of the venue: instants are multiples of them
BEATS_A_SECOND = 20  # real, at most
DRIFT = 1e-4  # no clock gains more on another
NOTHING = timedelta(0)


class BinanceSession:
    """Pieces of each series as they become final, between `resume` and ConnectionLost, which every method may raise.

    A piece of ticks ends where the venue's clock passes a whole beat (a second; more where its clock runs fast),
    and in between where a tick is final and the last piece was long enough ago. `in_doubt` says that the stream
    alone cannot go on: REST has to be asked first, then `resume`d. It is so where the venue is `silent`: it answers,
    but has pushed nothing for so long that it may have forgotten us.
    """

    def __init__(
        self,
        connection: ClientConnection,
        url: str,
        streams: Mapping[str, Series],
        clock: Clock,
        fates: Fates,
        flush: timedelta,
    ) -> None:
        self._connection, self._url, self._streams, self._clock = connection, url, streams, clock
        self._fates, self._flush = fates, flush
        self._pushed: dict[str, PushedTicks | PushedCandles] = {}
        self._backlog: deque[bytes] = deque()
        self._beat = timedelta(seconds=next((s for s in BEATS if s * BEATS_A_SECOND >= clock.speed), BEATS[-1]))
        self._answer_delay = max(flush, timedelta(seconds=PUSH_SECONDS * clock.speed))
        self._question_pause = max(flush / clock.speed, timedelta(seconds=QUESTION_SECONDS)).total_seconds()
        self._questions, self._waits_for_answer = 0, False
        self._asked, self._asked_at = 0.0, EPOCH  # when the last question was: our real seconds, the venue's time
        self._flushed = self._event_at = 0.0  # real times
        self._final, self.silent = EPOCH, False
        self._offset, self._offset_at = NOTHING, clock.now()

    async def subscribe(self) -> None:
        """Wait until the venue says that it pushes our streams; what it pushes meanwhile is kept."""
        await self._ask()
        while self._waits_for_answer:
            raw = await self._receive(SILENCE_SECONDS)
            if raw is None or time.monotonic() - self._asked > SILENCE_SECONDS:
                raise ConnectionLost(f"{self._url}: no answer within {SILENCE_SECONDS:g} s")
            if b'"id"' in raw:
                self._take(raw)
            else:
                self._backlog.append(raw)

    def set_venue_time(self, theirs: datetime) -> None:
        """What the venue's clock said, at this moment or before."""
        self._offset_at = self._clock.now()
        self._offset = theirs - self._offset_at
        self._final = EPOCH  # what was told before went by our clock alone

    def resume(self, after: Mapping[Series, datetime]) -> None:
        """Go on from where REST has led; what is queued from before that is passed over."""
        for name, series in self._streams.items():
            if pushed := self._pushed.get(name):
                pushed.forward(after[series])
            else:
                kind = PushedTicks if series.kind == "tick" else PushedCandles
                self._pushed[name] = kind(series, after[series], self._fates)
        self._event_at, self.silent = time.monotonic(), False

    @property
    def in_doubt(self) -> bool:
        return self.silent or any(one.behind for one in self._pushed.values())

    async def pieces(self) -> list[Heard]:
        """What is final after the next message, or when there is something to do without one."""
        if raw := self._backlog.popleft() if self._backlog else await self._receive(self._pause()):
            self._take(raw)
        else:
            self._check_silence()
        now, soon = self._clock.now(), time.monotonic() - self._flushed >= FLUSH_SECONDS
        found = []
        for one in self._pushed.values():
            one.advance(self._final)
            if heard := one.cut(now, self._beat, soon):
                found.append(heard)
                self._flushed = time.monotonic() if heard.series.kind == "tick" else self._flushed
        if not self._waits_for_answer and self._venue_now() >= self._question_due():
            await self._ask()
        return found

    def take_late(self) -> list[Heard]:
        """The spans, given as final already, of which trades had not come: only REST knows all of them."""
        pushed = self._pushed.values()
        late = [Heard(one.series, *span, [], missing=True) for one in pushed for span in one.late]
        for one in self._pushed.values():
            one.late = []
        return late

    async def close(self) -> None:
        await self._connection.close()

    def _check_silence(self) -> None:
        """Only while nothing is queued: what waits there would be taken for silence."""
        now = time.monotonic()
        if self._waits_for_answer and now - self._asked > SILENCE_SECONDS:
            raise ConnectionLost(f"{self._url}: no answer for {SILENCE_SECONDS:g} s")
        self.silent = now - self._event_at > SILENCE_SECONDS

    def _take(self, raw: bytes) -> None:
        try:
            message = orjson.loads(raw)
            if "id" in message:
                self._take_answer(message)
                return
            data = message["data"]
            self._pushed[message["stream"]].take(data)
            self._see(moment(data["E"]))
        except NONSENSE as error:
            if isinstance(error, NoPrice):
                self._fates.refuse(error)
            raise ConnectionLost(f"{self._url} pushed nonsense: {error!r} in {raw[:300]!r}") from error

    def _see(self, event: datetime) -> None:
        """The venue's clock has reached the time of this event."""
        now = self._clock.now()
        self._offset = max(event - now, self._offset - abs(now - self._offset_at) * DRIFT)
        self._offset_at = now
        self._final = max(self._final, event - self._flush)
        self._event_at = time.monotonic()

    def _take_answer(self, message: Mapping[str, Any]) -> None:
        if missing := self._streams.keys() - set(message["result"]):
            raise ValueError(f"not subscribed to {', '.join(sorted(missing))}")
        if message["id"] == self._questions:
            self._final = max(self._final, self._asked_at - self._answer_delay)
            self._waits_for_answer = False

    def _venue_now(self) -> datetime:
        """The venue's time as we know it, never ahead of either clock."""
        return self._clock.now() + min(self._offset, NOTHING)

    def _question_due(self) -> datetime:
        """The venue's time at which only an answer can tell that the next beat, or a tick that waits, is final."""
        ticks = [one for one in self._pushed.values() if one.series.kind == "tick"]
        final = min((one.final for one in ticks), default=self._final)
        due = final - (final - EPOCH) % self._beat + self._beat + self._answer_delay
        pause = timedelta(seconds=self._question_pause * self._clock.speed)
        rested = self._asked_at + pause
        if opened := min((one.open_since for one in ticks if one.open_since), default=None):
            early = max(opened + self._answer_delay, rested)
            # so shortly before a beat it would delay the beat's own question
            due = early if early + pause <= due else due
        return max(due, rested)

    async def _ask(self) -> None:
        self._questions += 1
        self._asked, self._asked_at = time.monotonic(), self._venue_now()
        self._waits_for_answer = True
        await self._send({"method": "LIST_SUBSCRIPTIONS", "id": self._questions})

    async def _send(self, message: Mapping[str, Any]) -> None:
        try:
            await self._connection.send(orjson.dumps(message).decode())
        except (WebSocketException, OSError) as error:
            raise ConnectionLost(f"{self._url}: {error!r}") from error

    async def _receive(self, seconds: float) -> bytes | None:
        """The next message, or None after so many real seconds."""
        try:
            async with asyncio.timeout(seconds):
                raw = await self._connection.recv(decode=False)
        except TimeoutError:
            return None
        except (WebSocketException, OSError) as error:
            raise ConnectionLost(f"{self._url}: {error!r}") from error
        assert isinstance(raw, bytes)  # what decode=False gives; the types of websockets 14 do not say so
        return raw

    def _pause(self) -> float:
        """Real seconds until there is something to do without a message; never so few that none can come."""
        speed, now = self._clock.speed, self._clock.now()
        waits = [SILENCE_SECONDS / 10]
        if not self._waits_for_answer:
            waits.append((self._question_due() - self._venue_now()).total_seconds() / speed)
        for one in self._pushed.values():
            if waiting := one.waiting:
                soonest = self._flushed + FLUSH_SECONDS - time.monotonic()
                waits.append(max((waiting - now).total_seconds() / speed, soonest))
        return max(min(waits), 0.001)
