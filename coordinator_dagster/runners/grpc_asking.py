"""One instant over gRPC: `tick`, then each `predict`, on every model by itself; none waits for another."""

import asyncio
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from coordinator_dagster.runners.confined.frames import ANSWER_CAP
from coordinator_dagster.runners.grpc_arguments import Arguments
from coordinator_dagster.runners.grpc_nodes import Client, Node, Said

log = logging.getLogger(__name__)

MARGIN_SECONDS = 0.25  # what the client needs to end a call at its deadline; after that we do not wait for it
COMING_SECONDS = 1.0  # a node that is just being connected, as after a redeploy, is waited for so long
LOOK_SECONDS = 0.01
LEAST_SECONDS = 0.001  # the client takes 0 for its own default


@dataclass
class Asked:
    """What came of an instant at one model. Times are the loop's, in seconds."""

    deployment: str = ""
    tick: Said | None = None
    said: list[Said] = field(default_factory=list)  # one for each call that was begun
    waited: float = 0.0  # for its node to be connected
    present: bool = True


@dataclass
class Instant:
    """What every model is asked, from `began` until `deadline` by the loop's clock."""

    client: Client
    tick: Arguments
    calls: Sequence[Arguments]
    began: float
    timeout: float
    asked: dict[str, Asked] = field(default_factory=dict)
    renewed: set[str] = field(default_factory=set)

    @property
    def deadline(self) -> float:
        return self.began + self.timeout

    async def ask(self, ids: Collection[str]) -> None:
        """Ask these models; returns when all have answered or been given up, at the latest MARGIN_SECONDS late."""
        self.asked = {id_: Asked() for id_ in ids}
        chains = [asyncio.create_task(self._chain(id_)) for id_ in ids]
        try:
            if chains:  # one that is not done then is left to itself: the client looks after its node's health
                await asyncio.wait(chains, timeout=max(0.0, self._left() + MARGIN_SECONDS))
        except asyncio.CancelledError:
            for one in chains:
                one.cancel()
            raise
        for one in chains:
            if one.done():
                one.result()  # a fault of ours is not swallowed

    def _left(self) -> float:
        return self.deadline - asyncio.get_running_loop().time()

    async def _chain(self, model_id: str) -> None:
        """The whole instant at one model; begun anew where a new deployment takes the node's place meanwhile."""
        while self._left() > 0:
            if (node := await self._node(model_id)) is None:
                self.asked[model_id].present = False
                return
            waited = self.asked[model_id].waited
            asked = self.asked[model_id] = Asked(node.deployment_id, waited=waited)
            if await self._on(node, asked):
                return

    async def _node(self, model_id: str) -> Node | None:
        """The model's node; one that is just being connected is waited for."""
        cluster, clock = self.client.model_cluster, asyncio.get_running_loop().time
        began = clock()
        until = min(began + COMING_SECONDS, self.deadline)
        while (node := cluster.node(model_id)) is None and cluster.coming(model_id) and clock() < until:
            await asyncio.sleep(LOOK_SECONDS)
        self.asked[model_id].waited += clock() - began
        return node

    async def _on(self, node: Node, asked: Asked) -> bool:
        """Tick, then the calls; False when the node has to be asked anew."""
        node.room = ANSWER_CAP
        asked.tick = Said()
        await self._call(node, "tick", self.tick, asked.tick)
        if asked.tick.code == "FAILED_PRECONDITION" and node.model_id not in self.renewed:
            self.client.model_cluster.renew(node)  # its process was started anew at the same address
            self.renewed.add(node.model_id)
            return False
        for arguments in self.calls:
            if asked.tick.code == "CUT" or self._left() <= 0:
                break
            asked.said.append(Said())
            await self._call(node, "predict", arguments, asked.said[-1])
            if asked.said[-1].code == "CUT":
                break
        return "CUT" not in (asked.tick.code, *(one.code for one in asked.said))

    async def _call(self, node: Node, method: str, arguments: Arguments, said: Said) -> None:
        """One call by way of the client, which counts, spares, reconnects and reports; `said` is filled in."""
        node.said = said
        left = max(self._left(), LEAST_SECONDS)
        try:
            results = await self.client.call(method, arguments, timeout=left, model_runs=[node])
        except Exception as fault:  # it has no result where a node is not who it should be
            log.exception("model %s: the client failed at %s", node.model_id, method, extra={"model": node.model_id})
            said.code, said.message = "CLIENT", f"{type(fault).__name__}: {fault}"
            return
        if said.code in ("SKIPPED", "UNANSWERED"):
            if (result := results.get(node)) is None or node.closed:
                said.code = "CUT"
            elif said.code == "SKIPPED" and result.status.value == "TIMEOUT":
                said.message = result.detail or ""
            else:
                said.code, said.message = "CLIENT", result.detail or ""
