"""The stand-in exchange over set A, and a line to its websockets that can be held, slowed and cut."""

import asyncio
import copy
import functools
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

import httpx
from stand_in_exchange import server

from tests.faults.plan import Fault

Result = TypeVar("Result")


@functools.cache
def _tape(folder: Path, derive_ticks: bool) -> Any:
    return server_tape(folder, derive_ticks)


server_tape = server.Tape


def _own_tape(folder: Path, derive_ticks: bool) -> Any:
    """Set A takes seconds to read: once a process. What a venue withholds is its own."""
    tape = copy.copy(_tape(folder, derive_ticks))
    tape.markets = {key: copy.copy(market) for key, market in tape.markets.items()}
    return tape


class Venue:
    """A stand-in exchange in a thread of this process, four trades a minute and asset, its clock held at first."""

    def __init__(self, folder: Path, start: datetime) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        with mock.patch.object(server, "Tape", _own_tape):
            start_text, limit = start.isoformat(), 10**9  # a minute of ours is hours of its own
            stand_in = server.StandIn(folder, start_text, speed=0, weight_limit=limit, derive_ticks=True)
        self._runner, self.url = self._do(stand_in.serve())
        self.line = Line(int(self.url.rpartition(":")[2]))
        self.stream_url = f"ws://127.0.0.1:{self._do(self.line.serve())}"

    @property
    def clock_url(self) -> str:
        return f"{self.url}/_control/clock"

    def run(self, speed: float) -> None:
        """From here on so many of its seconds pass in a real one."""
        self._post("clock", {"speed": speed})

    def inject(self, **faults: Any) -> None:
        """As the stand-in's /_control/faults; None heals."""
        self._post("faults", faults)

    def turn(self, fault: Fault, on: bool) -> None:
        """Inject it, or heal it."""
        if fault.kind == "silence":
            self._loop.call_soon_threadsafe(self.line.hold if on else self.line.go_on)
        elif fault.kind == "lag":
            self.line.lag = fault.setting["seconds"] if on else 0.0
        elif fault.kind == "cut":
            self._loop.call_soon_threadsafe(self.line.cut)
        else:
            self.inject(**{fault.kind: fault.setting if on else None})

    def heal(self) -> None:
        """All of it."""
        self._post("faults", {"clear": True})
        self._loop.call_soon_threadsafe(self.line.go_on)
        self.line.lag = 0.0

    def injected(self) -> dict[str, int]:
        """How often each kind of fault has struck."""
        struck: dict[str, int] = httpx.get(f"{self.url}/_control/stats").json()["injected"]
        return struck

    def close(self) -> None:
        self._do(self.line.close())
        self._do(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def _post(self, what: str, order: dict[str, Any]) -> None:
        httpx.post(f"{self.url}/_control/{what}", json=order).raise_for_status()

    def _do(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)


class Line:
    """A TCP line to the venue. What the venue says can be held back, come late, or be cut off."""

    def __init__(self, port: int) -> None:
        self._port, self._open = port, asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self.lag = 0.0  # real seconds
        self._open.set()

    async def serve(self) -> int:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    def hold(self) -> None:
        self._open.clear()

    def go_on(self) -> None:
        self._open.set()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def close(self) -> None:
        self._server.close()
        self.cut()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers |= {writer, far_writer}
        for pump in (self._pump(reader, far_writer, False), self._pump(far_reader, writer, True)):
            task = asyncio.ensure_future(pump)
            self._pumps.add(task)
            task.add_done_callback(self._pumps.discard)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, theirs: bool) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                if theirs:
                    await asyncio.sleep(self.lag)
                    await self._open.wait()
                writer.write(data)
        self._writers.discard(writer)
        writer.close()


@contextmanager
def open_venue(folder: Path, start: datetime) -> Iterator[Venue]:
    venue = Venue(folder, start)
    try:
        yield venue
    finally:
        venue.close()
