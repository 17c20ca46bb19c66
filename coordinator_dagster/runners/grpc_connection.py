"""The client's asyncio loop in a thread of its own, connected to the orchestrator for as long as it runs."""

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any

from coordinator_dagster.runners.grpc_nodes import Client

log = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0  # after the first try to reach the orchestrator, doubled after each
LONGEST_PAUSE_SECONDS = 30.0
AGAIN_SECONDS = 2.0  # between the client's own tries, once it was connected
CLOSING_SECONDS = 2.0


class Connection:
    """Runs `make`'s client. Tries for ever to reach the orchestrator; connected models can be asked meanwhile."""

    def __init__(self, make: Callable[[], Client], where: str) -> None:
        self._where, self.trouble = where, "not reached yet"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="model-runner-client", daemon=True)
        self._thread.start()
        try:
            self.client = self.submit(_made(make)).result()
        except BaseException:
            self._stop()
            raise
        self.submit(self._stay_connected())

    def submit(self, work: Coroutine[Any, Any, Any]) -> "Future[Any]":
        """Run it in the loop, from any thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self) -> None:
        """End every task, close every channel and the socket, end the thread."""
        if self._thread.is_alive():
            try:
                self.submit(self._disconnect()).result(2 * CLOSING_SECONDS)
            finally:
                self._stop()

    def lost(self) -> str:
        """Why what the orchestrator says is not known now; empty where it is."""
        cluster = self.client.model_cluster
        if cluster.connection is None:
            return f"the orchestrator at {self._where} cannot be reached: {self.trouble}"
        if cluster.roster.empty:
            return (
                f"the orchestrator at {self._where} names no model at all: it has just started, or CRUNCH_ID is wrong"
            )
        return ""

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSING_SECONDS)

    async def _stay_connected(self) -> None:
        """For ever. Until the first connection the pauses are ours; `sync` then connects again by itself."""
        socket, pause = self.client.model_cluster.ws_client, PAUSE_SECONDS
        while True:
            socket.max_retries, socket.retry_interval = 1, 0
            try:
                await self.client.init()
                log.info("connected to the orchestrator at %s", self._where)
                self.trouble, pause = "the connection was lost", PAUSE_SECONDS
                socket.retry_interval = AGAIN_SECONDS
                await self.client.sync()
            except Exception as fault:
                self.trouble = str(fault)
                unexpected = None if isinstance(fault, ConnectionError) else fault
                log.warning("%s; trying again in %g s, for ever", self.lost(), pause, exc_info=unexpected)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _disconnect(self) -> None:
        """Cancelled tasks first: the client would connect again what is closed under it."""
        mine = asyncio.current_task()
        tasks = [one for one in asyncio.all_tasks() if one is not mine]
        for one in tasks:
            one.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        cluster = self.client.model_cluster
        nodes = [*cluster.models_run.values(), *cluster.pending_model_runs.values()]
        ends = [asyncio.create_task(one.close()) for one in nodes]
        ends.append(asyncio.create_task(cluster.ws_client.disconnect()))
        done, late = await asyncio.wait(ends, timeout=CLOSING_SECONDS)  # an orchestrator that hangs says no good-bye
        for one in late:
            one.cancel()
        for one in done:
            if fault := one.exception():
                log.warning("a connection did not end well: %s", fault)
        await self._loop.shutdown_asyncgens()


async def _made(make: Callable[[], Client]) -> Client:
    return make()
