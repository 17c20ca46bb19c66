"""A model in its process: load it from its folder, then answer instant after instant."""

import contextlib
import importlib
import json
import os
import socket
import sys
import traceback
from functools import partial
from typing import Any

from .answering import answers, model_class, words
from .compiling import load
from .frames import receive, send
from .layers import silence

LOG_CAP = 1 << 20  # bytes; looked at between instants, so one instant may write past it


def serve(sock: socket.socket, folder: str, code: bytes, base: type, names: set[str]) -> None:
    """Load the model, say so, and answer until the coordinator closes its end.

    `code`: of its `main.py`, if it is compiled; `names`: what `predict` takes.
    """
    try:
        model = _load(folder, code, base)
    except BaseException as fault:
        send(sock, json.dumps({"error": _said(folder, fault)}))
        return
    send(sock, '{"ready":true}')
    while True:
        send(sock, answers(receive(sock), model, names, partial(_said, folder)))
        try:
            if os.fstat(1).st_size > LOG_CAP:
                silence()  # the log has all it takes: what is printed from now on is gone
        except OSError:
            pass  # it has closed its log


def _load(folder: str, code: bytes, base: type) -> Any:
    """An instance of the model's class."""
    sys.path.insert(0, folder)
    main = load(folder, code) if code else importlib.import_module("main")
    return model_class(main, base, folder)()


def _said(folder: str, fault: BaseException) -> str:
    """`words` of what the model raised."""
    with contextlib.suppress(BaseException):
        traceback.print_exception(fault)  # in full, into the model's log
    return words(fault, folder)
