"""What goes over a model's socket: frames of a 4-byte big-endian length and JSON, each with a cap.

First {"ready":true} or {"error"}, then per instant
    {"tick": payload, "calls": [{"args": [...], "kwargs": {...}}, ...]}
->  {"tick_us", "tick_error", "answers": [{"value", "us"} or {"error", "us"}, ...]}      (us: microseconds)
"""

import os
import socket
from typing import Any

try:
    from orjson import loads
except ImportError:
    from json import loads  # type: ignore[assignment]

REQUEST_CAP = 16 << 20  # bytes of one instant, kept by the coordinator
ANSWER_CAP = 1 << 20  # bytes of all the values a model answers at one instant
VALUES_CAP = 20_000  # numbers, texts, lists and objects of one answer: each takes the coordinator 50 bytes and more
ERROR_CAP = 500  # characters
ERROR_BYTES = 8192  # more than such an error takes, escaped, with what is around it


def values(text: str) -> int:
    """About how many values a JSON text holds, and never less."""
    return 1 + sum(text.count(mark) for mark in ",[{")


def receive(sock: socket.socket) -> Any:
    """One frame, decoded; ends the process when the coordinator has closed its end."""
    data = sock.recv(1 << 16)  # as a rule all of it: nothing follows a frame before its answer
    while len(data) < 4 or len(data) < (size := 4 + int.from_bytes(data[:4], "big")):
        more = sock.recv(size - len(data) if len(data) >= 4 else 4, socket.MSG_WAITALL) if data else b""
        if not more:
            os._exit(0)
        data += more
    return loads(data[4:])


def send(sock: socket.socket, text: str) -> None:
    """One frame of JSON that is text already."""
    body = text.encode()
    sock.sendall(len(body).to_bytes(4, "big") + body)
