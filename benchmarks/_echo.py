"""What answers at once: bare processes over socket pairs, and bare gRPC nodes with an orchestrator that names them."""

import asyncio
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
from pathlib import Path

import grpc
import websockets
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from model_runner_client.grpc.generated import dynamic_subclass_pb2_grpc
from model_runner_client.grpc.generated.commons_pb2 import Status, Variant, VariantType
from model_runner_client.grpc.generated.dynamic_subclass_pb2 import CallRequest, CallResponse, SetupResponse

REPLY = b'{"value":0.001}'
FINE = Status(code="SUCCESS")


class EchoProcesses:
    """So many processes that answer a frame with a few bytes, asked all at once."""

    def __init__(self, count: int) -> None:
        self._selector, self.pids = selectors.DefaultSelector(), []
        for _ in range(count):
            ours, theirs = socket.socketpair()
            if not (pid := os.fork()):
                echo(theirs)
            theirs.close()
            self.pids.append(pid)
            self._selector.register(ours, selectors.EVENT_READ)

    def ask(self, body: bytes) -> None:
        frame = len(body).to_bytes(4, "big") + body
        keys = list(self._selector.get_map().values())
        for key in keys:
            key.fileobj.sendall(frame)
        left = len(keys)
        while left:
            for key, _ in self._selector.select():
                assert key.fileobj.recv(1 << 16) == REPLY
                left -= 1

    def close(self) -> None:
        for pid in self.pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()


def echo(sock: socket.socket) -> None:
    while head := sock.recv(4, socket.MSG_WAITALL):
        sock.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)
        sock.sendall(REPLY)
    os._exit(0)


class EchoNodes:
    """So many gRPC nodes in one process of their own, and their orchestrator at `port`."""

    def __init__(self, count: int) -> None:
        command = [sys.executable, "-m", "benchmarks._echo", str(count)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])
        assert self._process.stdout
        told = json.loads(self._process.stdout.readline())
        self.port, self.nodes = told["port"], told["nodes"]

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


class Bare:
    """The same nodes asked by bare stubs: a tick and a predict each, all at once."""

    def __init__(self, nodes: list[int]) -> None:
        self._channels = [grpc.aio.insecure_channel(f"127.0.0.1:{port}") for port in nodes]
        self._stubs = [dynamic_subclass_pb2_grpc.DynamicSubclassServiceStub(one) for one in self._channels]

    async def ask(self, tick: CallRequest, predict: CallRequest) -> None:
        async def one(stub: dynamic_subclass_pb2_grpc.DynamicSubclassServiceStub) -> None:
            await stub.Call(tick, timeout=10)
            await stub.Call(predict, timeout=10)

        await asyncio.gather(*(one(stub) for stub in self._stubs))

    async def close(self) -> None:
        await asyncio.gather(*(one.close() for one in self._channels))


class Node(dynamic_subclass_pb2_grpc.DynamicSubclassServiceServicer):
    async def Setup(self, request: object, context: object) -> SetupResponse:
        return SetupResponse(status=FINE)

    async def Call(self, request: object, context: object) -> CallResponse:
        return CallResponse(status=FINE, methodResponse=Variant(type=VariantType.JSON, value=REPLY))


async def serve(count: int) -> None:
    ports, servers = [], []
    for _ in range(count):
        server = grpc.aio.server()
        state = health.aio.HealthServicer()
        await state.set("", health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(state, server)
        dynamic_subclass_pb2_grpc.add_DynamicSubclassServiceServicer_to_server(Node(), server)
        ports.append(server.add_insecure_port("127.0.0.1:0"))
        await server.start()
        servers.append(server)
    models = [
        {
            "deployment_id": f"{n}_1",
            "model_id": str(n),
            "infos": {},
            "state": "RUNNING",
            "ip": "127.0.0.1",
            "port": port,
        }
        for n, port in enumerate(ports)
    ]

    async def listed(socket: websockets.ServerConnection) -> None:
        await socket.send(json.dumps({"event": "init", "data": models}))
        await socket.wait_closed()

    async with websockets.serve(listed, "127.0.0.1", 0) as orchestrator:
        port = next(iter(orchestrator.sockets)).getsockname()[1]
        print(json.dumps({"port": port, "nodes": ports}), flush=True)
        await asyncio.Future()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
