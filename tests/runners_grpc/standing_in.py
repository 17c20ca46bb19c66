"""The stand-in orchestrator, run beside a test, and models for it."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("model_runner_client", reason="the extra `grpc` is not installed")
stand_in = pytest.importorskip("stand_in_orchestrator", reason="the stand-in orchestrator is not on PYTHONPATH")

import websockets  # noqa: E402

from coordinator_dagster.runners.base import Answer, Call, ModelInfo  # noqa: E402
from coordinator_dagster.runners.grpc_runner import GrpcRunner, Orchestrator  # noqa: E402
from slots.tracker import TrackerBase  # noqa: E402

Fault = stand_in.Fault
CALL = Call(["BTC", 60, 60])
HEAD = """from slots.tracker import TrackerBase

class Model(TrackerBase):
    def __init__(self): self.data, self.ticks = {}, 0
    def tick(self, data): self.data, self.ticks = data, self.ticks + 1
"""
GOOD = HEAD + "    def predict(self, asset, horizon, step): return {'value': self.data['n'] + horizon}\n"


def write(folder: Path, **sources: str) -> Path:
    """A folder of models, `name=source of main.py`."""
    for name, source in sources.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "main.py").write_text(source)
    return folder


class Standing:
    """An orchestrator and its nodes, in a thread of their own; every method is called from outside of it."""

    def __init__(self, models: Path, faults: dict[str, str] | None = None, **options: Any) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        parsed = {name: Fault.parse(fault) for name, fault in (faults or {}).items()}
        self.it = stand_in.StandInOrchestrator(models=models, port=0, faults=parsed, python_path=models, **options)
        self.run(self.it.__aenter__())
        self.ids = {one.name: id_ for id_, one in self.it.deployments.items()}
        self.names = {id_: name for name, id_ in self.ids.items()}

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def close(self) -> None:
        self.run(self.it.__aexit__())
        self._loop.call_soon_threadsafe(self._loop.stop)

    def stop(self, name: str) -> None:
        self.run(self.it.stop_model(name))

    def start(self, name: str, fault: str | None = None) -> None:
        """Start it anew; the stand-in ends the old node first."""
        self.run(self.it.start_model(name, Fault.parse(fault) if fault else None))

    def deploy_twice(self, name: str, first: str) -> None:
        """Two deployments in one message; the first has that fault."""

        async def change() -> None:
            one = self.it.deployments[self.ids[name]]
            messages = []
            for one.fault in (Fault.parse(first), None):
                self.it._launch(one)
                messages.append(one.message(self.it.host))
            for client in [client for clients in self.it._clients.values() for client in clients]:
                await client.send(json.dumps({"event": "update", "data": messages}))

        self.run(change())

    def redeploy(self, name: str) -> None:
        """As the orchestrator does it: the new node is announced while the old one still runs."""

        async def change() -> None:
            one = self.it.deployments[self.ids[name]]
            old, message = one.server, one.message(self.it.host)
            self.it._launch(one)
            await self.it._announce(one)
            await asyncio.sleep(0.1)
            old.stop(0)
            await self.it._broadcast(message | {"state": "STOPPED"})

        self.run(change())

    def say(self, name: str, state: str = "RUNNING", **infos: str) -> None:
        """An update that the stand-in does not send by itself."""
        message = self.it.deployments[self.ids[name]].message(self.it.host)
        message["infos"] |= infos
        self.run(self.it._broadcast(message | {"state": state}))

    def go_away(self) -> None:
        """The orchestrator alone; its nodes go on."""

        async def end() -> None:
            self.it._server.close()
            await self.it._server.wait_closed()

        self.run(end())

    def come_back(self) -> None:
        async def begin() -> None:
            self.it._server = await websockets.serve(self.it._handle, self.it.host, self.it.port, ping_interval=None)

        self.run(begin())

    def runner(self, known: list[ModelInfo] | None = None, must_connect: bool = False, **options: Any) -> GrpcRunner:
        chosen = {"crunch_id": "test", "base_classname": "slots.tracker.TrackerBase", "timeout": 5.0, **options}
        there = Orchestrator(host=self.it.host, port=self.it.port, **chosen)
        return GrpcRunner(there, TrackerBase.predict, known or [], must_connect)

    def ask(self, runner: GrpcRunner, timeout: float = 5.0, calls: list[Call] | None = None, n: int = 0) -> Any:
        """The answers by the models' names; with the default call the one answer, else a list."""
        answers = runner.ask(json.dumps({"n": n}).encode(), calls or [CALL], timeout)
        return {self.names.get(id_, id_): found if calls else found[0] for id_, found in answers.items()}


def until(condition: Callable[[], Any], seconds: float = 5.0) -> Any:
    """What the condition came to; an error when it stayed false for so long."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.02)
    return found


def statuses(answers: dict[str, Answer]) -> dict[str, str]:
    return {name: one.status for name, one in answers.items()}
