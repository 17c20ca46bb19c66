"""The gRPC runner: the models that the model orchestrator runs, each at its node, all asked at once.

The only file that imports the client is reached from here, and this one is imported where MODEL_RUNNER=grpc.
"""

import concurrent.futures
import inspect
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Self

from coordinator_dagster.errors import UserError
from coordinator_dagster.runners.base import Answer, Call, ModelInfo
from coordinator_dagster.runners.confined.frames import REQUEST_CAP
from coordinator_dagster.runners.grpc_arguments import predicts, tick_arguments
from coordinator_dagster.runners.grpc_asking import Instant
from coordinator_dagster.runners.grpc_connection import Connection
from coordinator_dagster.runners.grpc_judging import Circumstances, judge, understood
from coordinator_dagster.runners.grpc_nodes import Client
from coordinator_dagster.runners.grpc_roster import Roster

FIRST_SECONDS = 10.0  # after the orchestrator's list: that its nodes are not connected yet is ours, and waited for
LOOK_SECONDS = 0.02
ENDED = Answer("PLATFORM_FAULT", 0.0, reason="the runner is being ended")


@dataclass(frozen=True)
class Orchestrator:
    """Where it is, and what the client is told; the credentials are the client's own, at most one of them."""

    host: str
    port: int
    crunch_id: str
    base_classname: str
    timeout: float
    max_failures: int = 100
    max_timeouts: int = 100
    secure_credentials: Any = field(default=None, repr=False)
    gateway_credentials: Any = field(default=None, repr=False)

    @property
    def where(self) -> str:
        return f"ws://{self.host}:{self.port}/{self.crunch_id}"

    def client(self, roster: Roster) -> Client:
        return Client(
            roster,
            timeout=self.timeout,
            crunch_id=self.crunch_id,
            host=self.host,
            port=self.port,
            base_classname=self.base_classname,
            max_consecutive_failures=self.max_failures,
            max_consecutive_timeouts=self.max_timeouts,
            secure_credentials=self.secure_credentials,
            gateway_credentials=self.gateway_credentials,
        )


class GrpcRunner:
    """Asks the models at the orchestrator's nodes. Connects at the first `fresh` or `ask`.

    `known` are models that took part before: they owe an answer, wherever they are now. With `must_connect`, as
    in a replay, which can wait, an orchestrator that cannot be reached is a UserError; live it is PLATFORM_FAULT.
    """

    def __init__(
        self,
        orchestrator: Orchestrator,
        predict: Callable[..., Any],
        known: Iterable[ModelInfo] = (),
        must_connect: bool = False,
    ) -> None:
        self._orchestrator, self._must_connect = orchestrator, must_connect
        self._signature = inspect.signature(predict)
        self._standings = Roster()
        self._standings.seed(known)
        self._roster = self._standings.known()  # who is asked: only `fresh` and `rest` change it
        self._told = dict(self._roster)
        self._connection: Connection | None = None
        self._starting = threading.Lock()
        self._asking: concurrent.futures.Future[dict[str, list[Answer]]] | None = None
        self._first, self._aborted = True, False
        self.dispatch_seconds = 0.0

    def models(self) -> list[ModelInfo]:
        """The models known at the last `fresh` or `rest`, ordered by id, each with its present deployment."""
        return list(self._roster.values())

    def fresh(self, wait: bool = True) -> None:
        """Nodes persist: nothing is started anew. Takes up who has come; the first time, waits for the nodes.

        UserError where the orchestrator must be there and is not.
        """
        connection, first = self._connected()
        cluster, until = connection.client.model_cluster, time.monotonic() + FIRST_SECONDS
        wait_for_nodes = first or (self._must_connect and cluster.connection is None)
        while wait_for_nodes and not cluster.settled and time.monotonic() < until and not self._aborted:
            time.sleep(LOOK_SECONDS)
        if self._must_connect and (lost := connection.lost()):
            raise UserError(
                f"MODEL_RUNNER=grpc: {lost}; start the orchestrator, or mend MODEL_RUNNER_NODE_HOST, "
                "MODEL_RUNNER_NODE_PORT and CRUNCH_ID"
            )
        self._roster = self._standings.known()
        self._told = dict(self._roster)

    def ask(
        self, tick: bytes, calls: Sequence[Call], timeout: float, skip: Collection[str] = ()
    ) -> dict[str, list[Answer]]:
        """One instant, see `Runner.ask`; `timeout` in seconds, and it is back a quarter of a second after it.

        SlotFailure where an argument cannot be carried; ValueError when the instant is over 16 MB. A node that
        has not answered goes on: what it is then asked next is not answered either.
        """
        arguments = predicts(self._signature, calls)
        size = len(tick) + sum(one.ByteSize() for args, kwargs in arguments for one in (*args, *kwargs))
        if size > REQUEST_CAP:
            raise ValueError(f"the instant has {size} bytes; {REQUEST_CAP} are allowed")
        if self._connection is None:
            self.fresh()
        ids = [id_ for id_ in self._roster if id_ not in skip]
        connection, _ = self._connected()
        began = time.monotonic()
        instant = Instant(connection.client, tick_arguments(tick), arguments, began, timeout)
        try:
            self._asking = connection.submit(self._instant(connection, instant, ids))
            if self._aborted:
                self._asking.cancel()
            return self._asking.result()
        except concurrent.futures.CancelledError:
            return {id_: [ENDED] * len(calls) for id_ in ids}
        finally:
            self._asking, self._first = None, False

    async def _instant(self, connection: Connection, instant: Instant, ids: Sequence[str]) -> dict[str, list[Answer]]:
        """In the connection's loop, whose clock is `time.monotonic`."""
        cluster = connection.client.model_cluster
        before = cluster.connection
        await instant.ask(ids)
        lost, asked = connection.lost(), instant.asked
        if not lost and before is not cluster.connection:
            lost = "the connection to the orchestrator was lost meanwhile"
        sent = [one.tick.sent for one in asked.values() if one.tick and one.tick.sent is not None]
        self.dispatch_seconds = max(sent, default=instant.began) - instant.began
        around = Circumstances(
            instant,
            now := time.monotonic(),
            lost,
            first=self._first,
            connecting=now - cluster.listed_at < FIRST_SECONDS,
            understood=understood(asked.values()),
        )
        answers = {id_: judge(asked[id_], self._standings.standings[id_], around) for id_ in ids}
        for id_, one in asked.items():
            if one.tick:
                self._standings.standings[id_].seen = datetime.now(UTC)
                self._roster[id_] = replace(self._roster[id_], deployment=one.deployment)
        return answers

    def rest(self) -> bool:
        """See `Runner.rest`: nodes stand still by themselves; who has come since takes part from now on."""
        self._roster = self._standings.known()
        changed = self._roster != self._told
        self._told = dict(self._roster)
        return changed

    def abort(self) -> None:
        """A running `ask` returns at once, from any thread; nodes go on with what they were asked."""
        self._aborted = True
        if asking := self._asking:
            asking.cancel()

    def close(self) -> None:
        """Leave no task, thread or socket behind; the runner cannot be used again."""
        self.abort()
        if self._connection:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _connected(self) -> tuple[Connection, bool]:
        """The connection, and whether it was begun just now."""
        with self._starting:
            begun = self._connection is None
            if self._connection is None:
                make = self._orchestrator.client
                self._connection = Connection(lambda: make(self._standings), self._orchestrator.where)
            return self._connection, begun
