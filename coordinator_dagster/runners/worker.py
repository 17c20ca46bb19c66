"""The models' side of the local runner: one parent that forks a process per model. Standalone.

Started as `python -I worker.py CONTROL_FD MODULE:BASE_CLASS PRELOAD,... SYS_PATH_ENTRY...`, it loads the modules
of PRELOAD once and stays single-threaded, so that a model with all of them loaded is a fork away: milliseconds.

Control socket, in lock-step, one JSON object each way:
    {"folder", "log"} with one socket's fd  ->  {"pid"} or {"error"}; the fork serves that socket
    {"end": pid}                                     ->  {"status": exit code, negative for a signal, or null}
Its end of file ends everything; a killed parent of the forks takes them along (PR_SET_PDEATHSIG).

Model socket: frames of a 4-byte big-endian length and JSON; {"ready":true} or {"error"}, then per instant
    {"tick": payload, "calls": [{"args": [...], "kwargs": {...}}, ...]}
->  {"tick_us", "tick_error", "answers": [{"value", "us"} or {"error", "us"}, ...]}      (us: microseconds)
"""

import contextlib
import ctypes
import gc
import importlib
import inspect
import json
import os
import signal
import socket
import sys
import traceback
from pathlib import Path
from time import perf_counter_ns
from typing import Any

try:
    from orjson import loads
except ImportError:
    from json import loads  # type: ignore[assignment]

REQUEST_CAP = 16 << 20  # bytes of one instant, kept by the coordinator
ANSWER_CAP = 1 << 20  # bytes of all the values a model answers at one instant
LOG_CAP = 1 << 20  # bytes; looked at between instants, so one instant may write past it
ERROR_CAP = 500  # characters
NICE = 5  # whoever asks the models comes first: the first to be asked does not hold up the last
PR_SET_PDEATHSIG = 1

_prctl: Any = getattr(ctypes.CDLL(None), "prctl", None)  # Linux only


def _receive(sock: socket.socket) -> Any:
    """One frame, decoded; ends the process when the coordinator has closed its end."""
    data = sock.recv(1 << 16)  # as a rule all of it: nothing follows a frame before its answer
    while len(data) < 4 or len(data) < (size := 4 + int.from_bytes(data[:4], "big")):
        more = sock.recv(size - len(data) if len(data) >= 4 else 4, socket.MSG_WAITALL) if data else b""
        if not more:
            os._exit(0)
        data += more
    return loads(data[4:])


def _send(sock: socket.socket, text: str) -> None:
    body = text.encode()
    sock.sendall(len(body).to_bytes(4, "big") + body)


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


def _plain(value: Any) -> Any:
    """numpy's scalars and arrays as Python's; TypeError for anything else that is not JSON."""
    if callable(getattr(value, "tolist", None)):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} is not JSON")


_dumps, _encode = json.dumps, json.JSONEncoder(default=_plain).encode


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
    if len(text) > room:
        error = f"the answer is too long: {len(text)} bytes; an instant's may have {ANSWER_CAP}"
    return f'{{"error":{_dumps(error)},"us":{us}}}' if error else f'{{"value":{text},"us":{us}}}'


def _serve(sock: socket.socket, model: Any, names: set[str], folder: str) -> None:
    """Answer instants, one at a time, until the coordinator closes its end."""
    while True:
        request = _receive(sock)
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
        _send(sock, f'{{"tick_us":{us},"tick_error":{_dumps(error)},"answers":[{",".join(answers)}]}}')
        with contextlib.suppress(OSError):
            if os.fstat(1).st_size > LOG_CAP:
                _output_to(os.devnull)


def _output_to(path: str) -> None:
    """Standard output and error into a file: whatever a model prints, the frames stay clean."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)


def _open_log(log: str | None) -> None:
    """The model's log, and one older file when it had reached LOG_CAP; without one, nothing is kept."""
    try:
        if log and Path(log).exists() and Path(log).stat().st_size > LOG_CAP:
            Path(log).replace(log + ".1")
        _output_to(log or os.devnull)
    except OSError:  # a full disk is no fault of the model
        _output_to(os.devnull)
    sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]


def _load(folder: str, base: type) -> Any:
    """An instance of the first subclass of `base` in `main.py`, or imported there from its folder."""
    sys.path.insert(0, folder)
    main = importlib.import_module("main")
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


def _child(sock: socket.socket, request: dict[str, Any], base: type, parent: int) -> None:
    """The forked process: shut in, load the model, serve it. Does not return before the end."""
    if _prctl:
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we asked to die with it
        return
    os.setpgid(0, 0)
    _open_log(request["log"])
    own = sock.fileno()
    os.closerange(3, own)
    os.closerange(own + 1, os.sysconf("SC_OPEN_MAX"))
    folder = request["folder"]
    os.chdir(folder)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()  # else every fork draws the same numbers
    # Confinement belongs here: nothing of the participant's has run so far, nothing below needs a privilege.
    try:
        model = _load(folder, base)
    except BaseException as fault:
        _send(sock, _dumps({"error": _said(fault, folder)}))
        return
    _send(sock, '{"ready":true}')
    _serve(sock, model, set(inspect.signature(base.predict).parameters), folder)  # type: ignore[attr-defined]


def _fork(sock: socket.socket, request: dict[str, Any], base: type, children: set[int]) -> dict[str, Any]:
    """The reply to a request for a model's process."""
    me = os.getpid()
    try:
        pid = os.fork()
    except OSError as fault:
        return {"error": f"no process for it: {fault}"}
    if not pid:
        try:
            _child(sock, request, base, me)
        finally:
            os._exit(1)
    with contextlib.suppress(OSError):
        os.setpgid(pid, pid)  # here too, so that the group exists before the pid is told
    children.add(pid)
    sock.close()
    return {"pid": pid}


def _end(pid: int, children: set[int]) -> int | None:
    """Kill a model's process group and reap the process; how it ended, None when it is not ours."""
    if pid not in children:
        return None
    children.remove(pid)
    with contextlib.suppress(OSError):
        os.killpg(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main(control_fd: str, base_path: str, preload: str, *entries: str) -> None:
    """Serve the control socket until its end of file."""
    os.nice(NICE)
    sys.dont_write_bytecode = True  # a model's folder stays as it was submitted
    control = socket.socket(fileno=int(control_fd))
    setting = f"MODEL_BASE_CLASSNAME: {base_path}"
    try:
        sys.path[:0] = entries
        module, name = base_path.split(":")
        base: type = getattr(importlib.import_module(module), name)
        sys.path[:] = [*sys.path[len(entries) :], *entries]  # models find their own and installed ones first
        for module in filter(None, preload.split(",")):
            setting = f"MODEL_PRELOAD: {module}"
            importlib.import_module(module)
    except Exception as fault:
        error = f"{setting} cannot be loaded: {type(fault).__name__}: {fault}"
        control.sendall(_dumps({"error": error[:ERROR_CAP]}).encode())
        return
    gc.freeze()  # pages the forks share stay shared
    control.sendall(b'{"ready":true}')
    children: set[int] = set()
    try:
        while True:
            data, fds, _, _ = socket.recv_fds(control, 65536, 1)  # lock-step: one recv is one request
            if not data:
                return
            request = json.loads(data)
            if "end" in request:
                reply: dict[str, Any] = {"status": _end(request["end"], children)}
            else:
                reply = _fork(socket.socket(fileno=fds[0]), request, base, children)
            control.sendall(_dumps(reply).encode())
    finally:
        for pid in list(children):
            _end(pid, children)


if __name__ == "__main__":
    main(*sys.argv[1:])
