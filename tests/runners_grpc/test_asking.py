"""What only a client can do that is not the real one: an instant ends, whatever it does."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest
from standing_in import stand_in

from coordinator_dagster.runners.base import ModelInfo
from coordinator_dagster.runners.grpc_asking import MARGIN_SECONDS, Instant
from coordinator_dagster.runners.grpc_judging import Circumstances, judge
from coordinator_dagster.runners.grpc_roster import Standing

assert stand_in


class Node(SimpleNamespace):
    __hash__ = object.__hash__


def client(call: Any) -> Any:
    node = Node(model_id="1", deployment_id="d", closed=False)
    cluster = SimpleNamespace(node=lambda id_: node, coming=lambda id_: False)
    return SimpleNamespace(model_cluster=cluster, call=call)


def asked(call: Any, timeout: float) -> tuple[float, Any]:
    """How long an instant of one call took, and the answer."""

    async def ask() -> Any:
        instant = Instant(client(call), ([], []), [([], [])], time.monotonic(), timeout)
        await instant.ask(["1"])
        around = Circumstances(instant, time.monotonic())
        return around.now - instant.began, judge(instant.asked["1"], Standing(ModelInfo("1", *"adpp")), around)[0]

    return asyncio.run(ask())


def test_a_client_that_looks_after_a_nodes_health_is_not_waited_for() -> None:
    async def call(method: str, arguments: Any, timeout: float, model_runs: list[Any]) -> dict[Any, Any]:
        (node,) = model_runs
        node.said.code, node.said.sent = "UNANSWERED", asyncio.get_running_loop().time()
        await asyncio.sleep(timeout)
        node.said.code, node.said.ended = "DEADLINE_EXCEEDED", asyncio.get_running_loop().time()
        await asyncio.sleep(timeout)  # its health check hangs
        return {}

    took, answer = asked(call, 0.8)
    assert 0.8 <= took < 0.8 + MARGIN_SECONDS + 0.2
    assert (answer.status, answer.reason) == ("TIMEOUT", "no answer within 0.8 s; tick: DEADLINE_EXCEEDED")


def test_a_client_that_raises_is_our_fault_and_no_other_models() -> None:
    async def call(*given: Any, **options: Any) -> dict[Any, Any]:
        raise AttributeError("'NoneType' object has no attribute 'model_runner'")

    took, answer = asked(call, 1.0)
    assert took < 0.5 and answer.status == "PLATFORM_FAULT" and "CLIENT: AttributeError" in (answer.reason or "")


def test_a_loop_that_was_held_up_is_our_fault() -> None:
    async def call(method: str, arguments: Any, timeout: float, model_runs: list[Any]) -> dict[Any, Any]:
        (node,) = model_runs
        time.sleep(0.3)  # the loop's, not the model's
        node.said.code, node.said.sent = "UNANSWERED", asyncio.get_running_loop().time()
        await asyncio.sleep(max(0.0, timeout - 0.3))
        node.said.code, node.said.ended = "DEADLINE_EXCEEDED", asyncio.get_running_loop().time()
        return {node: SimpleNamespace(status="TIMEOUT")}

    _, answer = asked(call, 0.6)
    assert answer.status == "PLATFORM_FAULT" and "our own queueing took 0." in (answer.reason or ""), answer


def test_a_fault_of_ours_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(self: Instant, model_id: str) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Instant, "_node", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        asked(None, 1.0)
