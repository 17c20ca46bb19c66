"""What a model answers to an instant, as a frame: in its own process, and in a participant's backtest alike."""

import json
import sys
import traceback
from collections.abc import Callable
from time import perf_counter_ns
from types import ModuleType
from typing import Any

from .frames import ANSWER_CAP, ERROR_CAP, VALUES_CAP, values

Tell = Callable[[BaseException], str]  # what is said of what a model raised

_dumps = json.dumps


def model_class(main: ModuleType, base: type, folder: str) -> type:
    """The first subclass of `base` in `main`, or imported there from the model's folder; LookupError without one."""
    found = [
        kind
        for kind in vars(main).values()
        if isinstance(kind, type) and issubclass(kind, base) and kind is not base
        and str(getattr(sys.modules.get(kind.__module__), "__file__", "")).startswith(folder + "/")
    ]  # fmt: skip
    found.sort(key=lambda kind: kind.__module__ != "main")
    if not found:
        raise LookupError(f"main.py has no subclass of {base.__module__}.{base.__qualname__}")
    return found[0]


def answers(request: dict[str, Any], model: Any, names: set[str], tell: Tell) -> str:
    """The frame for one instant: `tick`, then every call; `names` are what `predict` takes."""
    began, error = perf_counter_ns(), None
    try:
        model.tick(request["tick"])
    except BaseException as fault:
        error = tell(fault)
    us = (perf_counter_ns() - began) // 1000
    told, room = [], ANSWER_CAP
    for call in request["calls"]:
        told.append(_answer(model, call, names, room, tell))
        room -= len(told[-1]) if told[-1].startswith('{"value"') else 0
    return f'{{"tick_us":{us},"tick_error":{_dumps(error)},"answers":[{",".join(told)}]}}'


def _plain(value: Any) -> Any:
    """numpy's scalars and arrays as Python's; TypeError for anything else that is not JSON."""
    if callable(getattr(value, "tolist", None)):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} is not JSON")


_encode = json.JSONEncoder(default=_plain).encode


def _answer(model: Any, call: dict[str, Any], names: set[str], room: int, tell: Tell) -> str:
    """One of the `answers`; NaN and infinities stay, as tokens, for the coordinator to refuse."""
    began = perf_counter_ns()
    error = text = ""
    try:
        value = model.predict(*call["args"], **{k: v for k, v in call["kwargs"].items() if k in names})
    except BaseException as fault:  # also SystemExit: a model leaves by os._exit or not at all
        error = tell(fault)
    us = (perf_counter_ns() - began) // 1000
    try:
        text = "" if error else _encode(value)
    except BaseException as fault:
        error = f"the answer is not JSON: {tell(fault)}"[:ERROR_CAP]
    if values(text) > VALUES_CAP:
        error = f"the answer is too large: {values(text)} values; it may have {VALUES_CAP}"
    elif len(text) > room:
        error = f"the answer is too long: {len(text)} bytes; an instant's may have {ANSWER_CAP}"
    return f'{{"error":{_dumps(error)},"us":{us}}}' if error else f'{{"value":{text},"us":{us}}}'


def words(fault: BaseException, folder: str) -> str:
    """`ValueError: text (main.py:12)`: the fault and the innermost line of the participant's."""
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
