"""Listening to Binance: its websockets, and REST for what was missed before them and between two of them."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import datetime, timedelta

from tenacity import AsyncRetrying, retry_if_exception_type, stop_before_delay, wait_exponential
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from coordinator_dagster.clock import Clock
from coordinator_dagster.feeds.base import Feed, Heard, fetch_span
from coordinator_dagster.feeds.binance_pushed import ConnectionLost
from coordinator_dagster.feeds.binance_session import BinanceSession
from slots.market import Series

TIMEOUT_SECONDS = 10.0
CLOSE_SECONDS = 1.0  # a lost connection does not say goodbye
CONNECTION_SECONDS = 1.0  # between two connections; the venue allows 300 in five minutes
QUEUE = 10_000  # messages that wait while a piece is written; then the socket waits, and at last the venue hangs up
HOUR, TICKS_PIECE = timedelta(hours=1), timedelta(minutes=10)
log = logging.getLogger(__name__)


class BinanceStream:
    """The pieces of `Feed.listen`, over one connection to `url` (without `/stream`) at a time.

    `names` are the streams' of the series. `feed` is asked by REST for what was missed and `venue_time` for the venue's
    clock, both in threads. `patience`, in real seconds, bounds the attempts to connect. Source: binance-spot-api-docs,
    web-socket-streams.md, on GitHub.
    """

    def __init__(
        self,
        feed: Feed,
        venue_time: Callable[[], datetime],
        url: str,
        names: Mapping[str, Series],
        clock: Clock,
        patience: float,
        flush: timedelta,
    ) -> None:
        self._feed, self._venue_time, self._names, self._clock = feed, venue_time, names, clock
        self._url, self._patience, self._flush, self._connected = url, patience, flush, 0.0

    async def listen(self, since: Mapping[Series, datetime]) -> AsyncIterator[Heard]:
        """As `Feed.listen`; FeedError when REST fails or no connection is made, each within its patience."""
        after = dict(since)
        while True:
            missed = await self._known_through(after)  # perhaps hours: no connection waits for them
            while heard := await self._fetch_missed(after, missed):
                yield heard
            session: BinanceSession | None = None
            async for attempt in self._attempts():
                with attempt:
                    session = await self._open()
                if session is None:  # without the stream, as often as it is tried again
                    missed = await self._known_through(after)
                    while heard := await self._fetch_missed(after, missed):
                        yield heard
            assert session is not None
            try:
                await self._let_overlap(session)
                while True:
                    missed = await self._known_through(after)
                    while heard := await self._fetch_missed(after, missed):
                        yield heard
                        if session.silent and heard.records:
                            raise ConnectionLost(f"{self._url}: silent while {heard.series} went on")
                    session.resume(after)
                    while not session.in_doubt:
                        for heard in await session.pieces():
                            after[heard.series] = heard.through
                            yield heard
                        async for heard in self._late(session):
                            yield heard
            except ConnectionLost as lost:
                log.warning("%s; what was missed is fetched", lost)
                async for heard in self._late(session):
                    yield heard
            finally:
                await session.close()

    async def _late(self, session: BinanceSession) -> AsyncIterator[Heard]:
        """Trades of times that were given already: a gap, whatever happens now, until all of their time is fetched."""
        late = session.take_late()
        for one in late:
            yield one
        for one in late:
            heard = await asyncio.to_thread(fetch_span, self._feed, one.series, one.after, one.through)
            if heard.records:  # else REST does not know it yet: the gap is asked for again
                yield heard

    def _attempts(self) -> AsyncRetrying:
        return AsyncRetrying(
            retry=retry_if_exception_type(ConnectionLost),
            wait=wait_exponential(multiplier=0.1, max=5),
            stop=stop_before_delay(self._patience),
            reraise=True,
        )

    async def _open(self) -> BinanceSession:
        """A connection whose streams the venue has confirmed; ConnectionLost when there is none."""
        await asyncio.sleep(self._connected + CONNECTION_SECONDS - time.monotonic())
        self._connected = time.monotonic()
        url = f"{self._url}/stream?streams={'/'.join(self._names)}"
        try:
            connection = await connect(
                url,
                open_timeout=TIMEOUT_SECONDS,
                close_timeout=CLOSE_SECONDS,
                ping_interval=None,  # the session's questions tell whether the venue is there
                compression=None,
                max_queue=QUEUE,
            )
        except (WebSocketException, OSError) as error:
            raise ConnectionLost(f"{url}: no connection: {error!r}") from error
        session = BinanceSession(connection, url, self._names, self._clock, self._feed.fates, self._flush)
        try:
            await session.subscribe()
        except BaseException:
            await session.close()
            raise
        return session

    async def _let_overlap(self, session: BinanceSession) -> None:
        """Wait until REST knows, as final, what happened before the stream began."""
        theirs = await asyncio.to_thread(self._venue_time)
        session.set_venue_time(theirs)
        await self._clock.sleep_until(max(theirs, self._clock.now()) + self._flush)

    async def _known_through(self, wanted: Iterable[Series]) -> dict[Series, datetime]:
        return await asyncio.to_thread(lambda: {series: self._final(series) for series in wanted})

    def _final(self, series: Series) -> datetime:
        """As `known_through`, but not a candle that has closed just now: REST may still lack its last trades."""
        through = self._feed.known_through(series)
        fresh = series.kind == "candle" and self._clock.now() - through < self._flush
        return through - series.step if fresh else through

    async def _fetch_missed(self, after: dict[Series, datetime], through: Mapping[Series, datetime]) -> Heard | None:
        """The next piece by REST, which `after` is moved over; None when all of `through` has been reached."""
        for series, start in after.items():
            if start < through[series]:
                piece = TICKS_PIECE if series.kind == "tick" else max(HOUR, 60 * series.step)
                end = min(start + piece, through[series])
                heard = await asyncio.to_thread(fetch_span, self._feed, series, start, end)
                after[series] = end
                return heard
        return None
