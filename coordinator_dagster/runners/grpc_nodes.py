"""The client of the model orchestrator, with three things added at its own seams.

A node tells what it answered, word by word; no model waits until another's node is connected; and what the client
reports of a model is known here, too.
"""

import asyncio
import logging
import struct
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from grpc import ChannelConnectivity
from grpc.aio import AioRpcError
from model_runner_client.errors import InvalidCoordinatorUsageError
from model_runner_client.grpc.generated.commons_pb2 import VariantType
from model_runner_client.grpc.generated.dynamic_subclass_pb2 import CallRequest
from model_runner_client.model_cluster import ModelCluster
from model_runner_client.model_concurrent_runners import DynamicSubclassModelConcurrentRunner
from model_runner_client.model_runners import DynamicSubclassModelRunner
from model_runner_client.utils.datatype_transformer import decode_data
from websockets import State

from coordinator_dagster.runners.answers import clean
from coordinator_dagster.runners.confined.frames import ANSWER_CAP
from coordinator_dagster.runners.grpc_roster import Roster, info_of

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.05


@dataclass
class Said:
    """What came of one call: the node's code, or gRPC's, or one of ours; times by the loop's clock, in seconds.

    Ours are SKIPPED (the client did not ask), UNANSWERED (it is still under way), TOO_LONG, UNREADABLE (both of
    answers), CUT (the node was closed meanwhile), CLIENT (the client failed).
    """

    code: str = "SKIPPED"
    message: str = ""
    value: Any = None
    sent: float | None = None  # None: it was not
    ended: float | None = None
    reachable: bool = True  # at its end there was a connection to the node


@dataclass(frozen=True)
class Refused:
    """An answer that is none, as the client wants errors: with a `value` that it passes on."""

    value: str


class Node(DynamicSubclassModelRunner):
    """One connected model. Whoever calls it puts a new `said` there, which is filled in."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.said = Said()
        self.room = ANSWER_CAP  # bytes that its answers may still have at this instant

    async def call(
        self, method_name: str, arguments: Any = ([], []), timeout: float | None = None
    ) -> tuple[Any, Refused | Any | None]:
        """As the client's own, but for `said`: the client keeps neither the node's code nor its words."""
        args, kwargs = arguments
        request = CallRequest(methodName=method_name, methodArguments=args, methodKwArguments=kwargs)
        clock = asyncio.get_running_loop().time
        said = self.said
        said.code, said.sent = "UNANSWERED", clock()
        try:
            response = await self.grpc_stub.Call(request, timeout=timeout, wait_for_ready=True)
        except AioRpcError as fault:
            said.code, said.message = fault.code().name, clean(fault.details() or "")
            if "larger than max" in said.message:  # gRPC's own limit: no time-out, as the client would take it
                said.code, said.message = "TOO_LONG", f"the answer is too long: {said.message}"
                return None, Refused(said.code)
            said.reachable = self.grpc_channel.get_state() is ChannelConnectivity.READY
            raise
        finally:
            said.ended = clock()
        said.code, said.message = response.status.code, clean(response.status.message)
        if said.code == "SUCCESS":
            said.code, said.message, said.value = self._read(response.methodResponse)
        if said.code == "SUCCESS":
            return said.value, None
        if said.code == "BAD_IMPLEMENTATION":
            return None, self.ErrorType.BAD_IMPLEMENTATION
        if said.code in ("INVALID_ARGUMENT", "FAILED_PRECONDITION"):
            raise InvalidCoordinatorUsageError(said.message)
        return None, Refused(said.code)

    def _read(self, answer: Any) -> tuple[str, str, Any]:
        """The answer's code, words and value: it may be too long, of a kind that we do not take, or garbage."""
        size = len(answer.value)
        if size > self.room:
            return "TOO_LONG", f"the answer is too long: {size} bytes; an instant's may have {ANSWER_CAP}", None
        self.room -= size
        if answer.type == VariantType.PARQUET:  # a few bytes of it can be gigabytes
            return "UNREADABLE", "the answer is not JSON: a DataFrame is not JSON", None
        try:
            return "SUCCESS", "", decode_data(answer.value, answer.type)
        except (ValueError, RecursionError, struct.error) as fault:
            return "UNREADABLE", clean(f"the answer cannot be read: {type(fault).__name__}: {fault}"), None


class Cluster(ModelCluster):
    """The client's models. News of each is a task of its own: the client's way is one after the other."""

    def __init__(self, roster: Roster, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        quiet_at_exit(self)
        self.roster = roster
        self._tasks: set[asyncio.Task[None]] = set()
        self._coming: Counter[str] = Counter()
        self._news: dict[str, asyncio.Task[None]] = {}  # each model's last
        self._listed_on: Any = None  # the connection that the last list came by
        self.listed_at = 0.0  # by the loop's clock

    @property
    def connection(self) -> Any:
        """What the orchestrator says comes by it now, and its list has come; None: it is lost, or never was."""
        socket = self.ws_client.websocket
        up = socket is not None and socket.state is State.OPEN and socket is self._listed_on
        return socket if up else None

    def node(self, model_id: str) -> "Node | None":
        """The model's node, where it is connected."""
        node = self.models_run.get(model_id)
        return None if node is None or node.closed else node

    def coming(self, model_id: str) -> bool:
        """Its node is being connected to."""
        return self._coming[model_id] > 0

    @property
    def settled(self) -> bool:
        """The orchestrator's list has come, and every node on it is connected or given up."""
        return self.connection is not None and not self._tasks

    async def handle_event(self, event_type: str, data: list[dict[str, Any]]) -> None:
        """Take note of it at once, and begin whatever has to be done."""
        if event_type not in ("init", "update"):
            log.warning("the orchestrator sent an unknown event: %s", event_type)
            return
        if event_type == "init":
            ids = {str(one["model_id"]) for one in data}
            self.roster.listed(ids)
            for one in [*self.models_run.values(), *self.pending_model_runs.values()]:
                if str(one.model_id) not in ids:
                    self._begin(self.remove_model_runner(one))
            self._listed_on, self.listed_at = self.ws_client.websocket, asyncio.get_running_loop().time()
            if not ids:
                log.warning("the orchestrator has no model for crunch %s: is CRUNCH_ID right?", self.crunch_id)
        for message in data:
            self.roster.announced(message)
            id_ = message["model_id"]
            self._news[id_] = self._being_connected(id_, self._take_up(message, self._news.get(id_)))

    async def _take_up(self, message: dict[str, Any], before: asyncio.Task[None] | None) -> None:
        """A model's news in their order; what they make pointless is ended first."""
        running, deployment = message["state"] == "RUNNING", message["deployment_id"]
        while before and not before.done():
            pending = self.pending_model_runs.get(message["model_id"])
            if pending and running != (pending.deployment_id == deployment):
                await self.remove_model_runner(pending)
            await asyncio.wait([before], timeout=LOOK_SECONDS)
        try:
            await self.update_model_runs([message])
        except InvalidCoordinatorUsageError as fault:
            self.roster.troubled(info_of(message), "USAGE", str(fault))
            log.error("model %s cannot be set up: %s", message["model_id"], fault, extra={"model": message["model_id"]})

    async def add_model_runner(self, model_runner: Node) -> None:
        await super().add_model_runner(model_runner)
        if self.models_run.get(model_runner.model_id) is model_runner:
            self.roster.set_up(str(model_runner.model_id), model_runner.deployment_id)

    async def reconnect_model_runner(self, model_runner: Node) -> None:
        await self._being_connected(model_runner.model_id, super().reconnect_model_runner(model_runner))

    def renew(self, node: Node) -> None:
        """Set the model up anew: its node has forgotten it."""
        self._being_connected(node.model_id, super().reconnect_model_runner(node))

    async def process_failure(self, model_runner: Node, failure_code: str, failure_reason: str | None = None) -> None:
        name, model_id = model_runner.model_name, model_runner.model_id
        log.warning("model %s (%s): %s", model_id, name, failure_code, extra={"model": model_id})
        about = {name: getattr(model_runner, name) for name in ("model_id", "deployment_id", "infos")}
        self.roster.troubled(info_of(about), failure_code, failure_reason or "")
        await super().process_failure(model_runner, failure_code, failure_reason)

    def _being_connected(self, model_id: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin it; from now on, not from its first step on, whoever looks for the model knows to wait."""
        self._coming[model_id] += 1
        task = self._begin(work)
        task.add_done_callback(lambda _: self._coming.subtract([model_id]))
        return task

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (fault := task.exception()):
            log.error("what the orchestrator said could not be carried out", exc_info=fault)


class Client(DynamicSubclassModelConcurrentRunner):
    """The client, over `Cluster` and `Node`. Made in the loop that it runs in."""

    model_cluster: Cluster

    def __init__(self, roster: Roster, *, crunch_id: str, **kwargs: Any) -> None:
        super().__init__(crunch_id=crunch_id, **kwargs)
        quiet_at_exit(self.model_cluster)
        self.model_cluster = Cluster(roster, crunch_id, self.host, self.port, self.create_model_runner)

    def create_model_runner(self, **kwargs: Any) -> Node:
        return Node(
            self.base_classname,
            self.instance_args,
            self.instance_kwargs,
            secure_credentials=self.secure_credentials,
            gateway_credentials=self.gateway_credentials,
            **kwargs,
        )


def quiet_at_exit(cluster: ModelCluster) -> None:
    """What the client has Python do at its end can only fail there: it closes the socket, as `Connection` does."""
    cluster.ws_client.disconnect_sync = lambda: None
