"""A model in its process: load it from its folder, then answer instant after instant."""

import contextlib
import importlib
import json
import os
import socket
import sys
import traceback
from time import perf_counter_ns
from typing import Any

from .compiling import load
from .frames import ANSWER_CAP, ERROR_CAP, VALUES_CAP, receive, send, values
from .layers import silence

LOG_CAP = 1 << 20  # bytes; looked at between instants, so one instant may write past it

_dumps = json.dumps


def serve(sock: socket.socket, folder: str, code: bytes, base: type, names: set[str]) -> None:
    """Load the model, say so, and answer until the coordinator closes its end.

    `code`: of its `main.py`, if it is compiled; `names`: what `predict` takes.
    """
    try:
        model = _load(folder, code, base)
    except BaseException as fault:
        send(sock, _dumps({"error": _said(fault, folder)}))
        return
    send(sock, '{"ready":true}')
    while True:
        send(sock, _answers(receive(sock), model, names, folder))
        try:
            if os.fstat(1).st_size > LOG_CAP:
                silence()  # the log has all it takes: what is printed from now on is gone
        except OSError:
            pass  # it has closed its log


def _load(folder: str, code: bytes, base: type) -> Any:
    """An instance of the first subclass of `base` in `main.py`, or imported there from its folder."""
    sys.path.insert(0, folder)
    main = load(folder, code) if code else importlib.import_module("main")
    found = [
        kind
        for kind in vars(main).values()
        if isinstance(kind, type) and issubclass(kind, base) and kind is not base
        and str(getattr(sys.modules.get(kind.__module__), "__file__", "")).startswith(folder + "/")
    ]  # fmt: skip
    found.sort(key=lambda kind: kind.__module__ != "main")
    if not found:
        raise LookupError(f"main.py has no subclass of {base.__module__}.{base.__qualname__}")
    return found[0]()


def _answers(request: dict[str, Any], model: Any, names: set[str], folder: str) -> str:
    """The frame for one instant: `tick`, then every call."""
    began, error = perf_counter_ns(), None
    try:
        model.tick(request["tick"])
    except BaseException as fault:
        error = _said(fault, folder)
    us = (perf_counter_ns() - began) // 1000
    answers, room = [], ANSWER_CAP
    for call in request["calls"]:
        answers.append(_answer(model, call, names, room, folder))
        room -= len(answers[-1]) if answers[-1].startswith('{"value"') else 0
    return f'{{"tick_us":{us},"tick_error":{_dumps(error)},"answers":[{",".join(answers)}]}}'


def _plain(value: Any) -> Any:
    """numpy's scalars and arrays as Python's; TypeError for anything else that is not JSON."""
    if callable(getattr(value, "tolist", None)):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} is not JSON")


_encode = json.JSONEncoder(default=_plain).encode


def _answer(model: Any, call: dict[str, Any], names: set[str], room: int, folder: str) -> str:
    """One of the `answers`; NaN and infinities stay, as tokens, for the coordinator to refuse."""
    began = perf_counter_ns()
    error = text = ""
    try:
        value = model.predict(*call["args"], **{k: v for k, v in call["kwargs"].items() if k in names})
    except BaseException as fault:  # also SystemExit: a model leaves by os._exit or not at all
        error = _said(fault, folder)
    us = (perf_counter_ns() - began) // 1000
    try:
        text = "" if error else _encode(value)
    except BaseException as fault:
        error = f"the answer is not JSON: {_said(fault, folder)}"[:ERROR_CAP]
    if values(text) > VALUES_CAP:
        error = f"the answer is too large: {values(text)} values; it may have {VALUES_CAP}"
    elif len(text) > room:
        error = f"the answer is too long: {len(text)} bytes; an instant's may have {ANSWER_CAP}"
    return f'{{"error":{_dumps(error)},"us":{us}}}' if error else f'{{"value":{text},"us":{us}}}'


def _said(fault: BaseException, folder: str) -> str:
    """`ValueError: text (main.py:12)`: the fault and the innermost line of the participant's."""
    with contextlib.suppress(BaseException):
        traceback.print_exception(fault)  # in full, into the model's log
    lines = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(fault.__traceback__)]
    if isinstance(fault, SyntaxError):
        lines.append((fault.filename or "", fault.lineno or 0))
    own = [f" ({name[len(folder) + 1 :]}:{line})" for name, line in lines if name.startswith(folder + "/")]
    where = own[-1][-200:] if own else ""
    try:
        text = fault.msg if isinstance(fault, SyntaxError) else str(fault)
    except BaseException:
        text = "(its text cannot be made)"
    return f"{type(fault).__name__}: {text}"[: ERROR_CAP - len(where)].removesuffix(": ") + where
