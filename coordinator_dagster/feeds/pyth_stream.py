"""Listening to Hermes: its stream of server-sent events, and REST for what that does not bring."""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, suppress
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import httpx
from httpx_sse import EventSource, ServerSentEvent, SSEError, aconnect_sse
from tenacity import AsyncRetrying, retry_if_exception, stop_before_delay

from coordinator_dagster.clock import Clock
from coordinator_dagster.feeds.base import MICROSECOND, FeedError, Heard
from coordinator_dagster.feeds.fates import Fates
from coordinator_dagster.feeds.pyth_prices import PythPrices
from coordinator_dagster.feeds.pyth_pushed import PushedPrices
from coordinator_dagster.feeds.pyth_records import EPOCH, NONSENSE, SECOND, moment, price_update, refuse, same_id
from coordinator_dagster.feeds.pyth_rest import TIMEOUT_SECONDS
from coordinator_dagster.feeds.refusals import Refusal, may_pass, pause_before_retry
from slots.market import Series

# Real seconds, however fast the contest's clock runs
SILENCE_SECONDS = 15.0  # a connection without an update for so long is replaced
CONNECTION_SECONDS = 1.0  # between two connections
LINK_SECONDS = 0.25  # so long an update waits for one before it, which another order may bring; then REST is asked
BEAT_SECONDS = 0.5  # between two questions to a quiet market, at least
BEAT = timedelta(seconds=2)  # after so long without news of a series the venue is asked whether there is any
PIECE = 10  # updates, a request each, in one piece: four seconds, in which nothing ends the asking
log = logging.getLogger(__name__)


class StreamLost(Exception):
    """What a connection gives can no longer be relied on; the message says why."""


class PythStream:
    """Puts the pieces of each series of ticks in `since`, by `work`: one connection, and one follower a series.

    Wherever what was pushed does not follow on what was given, REST is asked; and where nothing is pushed, whether
    there is something. `delay`: what was published so long ago can be had. `prices.rest.patience` bounds the attempts
    to connect.
    """

    def __init__(
        self,
        prices: PythPrices,
        clock: Clock,
        fates: Fates,
        delay: timedelta,
        since: Mapping[Series, datetime],
        put: Callable[[Heard], Awaitable[None]],
    ) -> None:
        self._prices, self._rest, self._clock, self._fates = prices, prices.rest, clock, fates
        self._delay, self._put = delay, put
        self._pushed = [PushedPrices(series, after, fates) for series, after in since.items()]
        self._by_id: Mapping[str, PushedPrices] = {}
        self._beat = max(BEAT.total_seconds() / clock.speed, BEAT_SECONDS)
        self._url, self._connected = f"{prices.url}/stream", 0.0

    def work(self) -> Sequence[Coroutine[Any, Any, None]]:
        return [self._read(), *map(self._follow, self._pushed)] if self._pushed else []

    async def _follow(self, pushed: PushedPrices) -> None:
        """Put one series' pieces, for ever."""
        while True:
            pushed.changed.clear()
            now = self._clock.now()
            if heard := pushed.cut(now):
                await self._put(heard)
            elif pushed.late:
                await self._put(await asyncio.to_thread(self._late, pushed.series, pushed.late.pop(0)))
            elif (known := pushed.unlinked) is None:
                if (rest := pushed.news_at + self._beat - time.monotonic()) > 0:
                    await _changed(pushed, rest)
                elif quiet := await self._ask_newest(pushed):
                    await self._put(quiet)
            elif (rest := max(pushed.unlinked_since + LINK_SECONDS - time.monotonic(), self._until(known))) > 0:
                await _changed(pushed, rest)
            else:
                await self._put(await self._fetch(pushed, known))

    async def _fetch(self, pushed: PushedPrices, known: int) -> Heard:
        """The next piece by REST, up to an update that is known to exist."""
        updates = self._prices.updates(pushed.series, pushed.second + 1, known + 1, known)
        found = await asyncio.to_thread(lambda: list(islice(updates, PIECE)))
        return pushed.move(found[-1].second, [one.record for one in found])

    def _until(self, second: int) -> float:
        """Real seconds until it is over by our own clock: it may be behind the venue's."""
        return (moment(second) - self._clock.now()).total_seconds() / self._clock.speed

    def _late(self, series: Series, second: int) -> Heard:
        """An update of a time that was complete, as a piece of its own."""
        records = [one.record for one in self._prices.updates(series, second, second + 1, second)]
        return Heard(series, moment(second) - MICROSECOND, moment(second), records)

    async def _ask_newest(self, pushed: PushedPrices) -> Heard | None:
        asked = self._clock.now()
        newest = await asyncio.to_thread(self._prices.latest, pushed.series)
        pushed.news_at = time.monotonic()
        return pushed.quiet(newest.second, last_over(asked - self._delay))

    async def _read(self) -> None:
        """Keep a connection and take in what it brings; FeedError when none is made within patience."""
        ids = await asyncio.to_thread(lambda: [self._prices.feed_id(one.series) for one in self._pushed])
        self._by_id = dict(zip(ids, self._pushed, strict=True))
        timeout = httpx.Timeout(TIMEOUT_SECONDS, read=SILENCE_SECONDS)
        async with httpx.AsyncClient(headers=self._rest.headers, timeout=timeout) as client:
            while True:
                async with AsyncExitStack() as stack:
                    source = await self._connect(client, stack)
                    try:
                        await self._take_all(source)
                    except (StreamLost, SSEError, httpx.HTTPError, TimeoutError) as lost:
                        log.warning("%s: %r; what is missed is fetched", self._url, lost)

    async def _connect(self, client: httpx.AsyncClient, stack: AsyncExitStack) -> EventSource:
        retrying = AsyncRetrying(
            retry=retry_if_exception(may_pass),
            wait=pause_before_retry,
            stop=stop_before_delay(self._rest.patience),
            reraise=True,
        )
        try:
            return await retrying(self._open, client, stack)
        except Refusal as refusal:
            raise FeedError(f"GET {self._url}: no stream: {refusal}") from refusal

    async def _open(self, client: httpx.AsyncClient, stack: AsyncExitStack) -> EventSource:
        """A stream of the first update of each second, in whatever order they come; Refusal when there is none."""
        await asyncio.sleep(max(self._rest.reserve(), self._connected + CONNECTION_SECONDS - time.monotonic()))
        self._connected = time.monotonic()
        params = {"ids[]": list(self._by_id), "benchmarks_only": "true", "allow_unordered": "true"}
        try:
            source = await stack.enter_async_context(aconnect_sse(client, "GET", self._url, params=params))
            if source.response.is_success:
                return source
            await source.response.aread()
        except httpx.HTTPError as error:
            raise Refusal(0, repr(error)) from error
        raise self._rest.refusal(source.response)

    async def _take_all(self, source: EventSource) -> None:
        """Until the connection is lost, by one of the errors that `_read` expects."""
        now = asyncio.get_running_loop().time
        async with asyncio.timeout(SILENCE_SECONDS) as silence, aclosing(source.aiter_sse()) as events:
            async for event in events:
                self._take(event)
                silence.reschedule(now() + SILENCE_SECONDS)
        raise StreamLost("the venue ended it")

    def _take(self, event: ServerSentEvent) -> None:
        if event.event == "error":
            raise StreamLost(f"the venue says: {self._rest.hide_key(event.data)[:200]}")
        try:
            for one in json.loads(event.data)["parsed"]:
                if pushed := self._by_id.get(same_id(one["id"])):
                    pushed.take(price_update(pushed.series, one, self._clock.now()))
        except NONSENSE as error:
            refuse(self._fates, self._url, error)
            raise StreamLost(f"nonsense was pushed: {error!r}") from error


def last_over(at: datetime) -> int:
    """The last second since the epoch that was over then: what is published within it has its time."""
    return (at - EPOCH) // SECOND - 1


async def _changed(pushed: PushedPrices, seconds: float) -> None:
    """Wait so long at most."""
    with suppress(TimeoutError):
        async with asyncio.timeout(max(seconds, 0.001)):
            await pushed.changed.wait()
