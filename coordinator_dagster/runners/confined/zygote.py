"""The process that forks the models: everything they need is loaded once, a model is a fork away: milliseconds.

It stays single-threaded and runs nothing of a participant's. Control socket, in lock-step, one JSON object each way,
with file descriptors beside it:
    (first)                                          ->  {"ready", "missing"} + a pidfd of itself, or {"error"}
    {"folder", "uid", "address_space", "required"} + [its socket, its log]
                                                     ->  {"pid"} + a pidfd, or {"error"}; the fork serves the socket
    {"end": pid}                                     ->  {"status": exit code, negative for a signal, or null}
Its end of file ends everything; a killed parent of the forks takes them along (PR_SET_PDEATHSIG).
"""

import contextlib
import gc
import importlib
import inspect
import json
import os
import random
import signal
import socket
import sys
from typing import Any

from . import kernel
from .compiling import Compiler
from .frames import ERROR_CAP, send
from .layers import Place, die_with, lacking, shut_in
from .serving import serve

NICE = 5  # whoever asks the models comes first: the first to be asked does not hold up the last
Interface = tuple[type, set[str]]  # the base class, and what its `predict` takes
_PACKAGE = __package__ or ""


def main(told: str) -> None:
    """Serve the control socket until its end of file; `told` is JSON: see `runners/sandbox.py`."""
    os.nice(NICE)
    sys.dont_write_bytecode = True
    given = json.loads(told)
    control = socket.socket(fileno=given["control"])
    place = Place(given["sandboxed"], os.getuid() == 0, tuple(given["readable"]))
    try:
        interface = _load(given["base"], given["preload"], given["entries"])
    except ImportError as fault:
        control.sendall(json.dumps({"error": str(fault)[:ERROR_CAP]}).encode())
        return
    if place.sandboxed:
        kernel.bound_capabilities()  # here, for it takes a while, and this process runs no other program
    for name in [name for name in sys.modules if name.partition(".")[0] == _PACKAGE.partition(".")[0]]:
        del sys.modules[name]  # a model may have a module of that name
    sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]
    gc.freeze()  # pages the forks share stay shared
    _reply(control, {"ready": True, "missing": _probe(place, given["models"])}, os.getpid())
    compiler, children = Compiler(place), set[int]()
    try:
        while True:
            data, fds, _, _ = socket.recv_fds(control, 65536, 2)  # lock-step: one recv is one request
            if not data:
                return
            request = json.loads(data)
            if "end" in request:
                _reply(control, {"status": _end(request["end"], children)})
            else:
                _fork(control, fds, request, place, compiler, interface, children)
    finally:
        for pid in list(children):
            _end(pid, children)


def _load(base_path: str, preload: list[str], entries: list[str]) -> Interface:
    """The base class, from `entries`, and every module to preload; ImportError naming the setting at fault."""
    setting = f"MODEL_BASE_CLASSNAME: {base_path}"
    try:
        sys.path[:0] = entries
        module, name = base_path.split(":")
        base = getattr(importlib.import_module(module), name)
        arguments = set(inspect.signature(base.predict).parameters)
        sys.path[:] = [*sys.path[len(entries) :], *entries]  # models find their own and installed ones first
        for module in preload:
            setting = f"MODEL_PRELOAD: {module}"
            importlib.import_module(module)
    except Exception as fault:
        raise ImportError(f"{setting} cannot be loaded: {type(fault).__name__}: {fault}") from fault
    return base, arguments


def _reply(control: socket.socket, said: dict[str, Any], pid: int | None = None) -> None:
    """Answer, with a handle on the process `pid` where the system has such."""
    if pid is None or not hasattr(os, "pidfd_open"):
        control.sendall(json.dumps(said).encode())
        return
    handle = os.pidfd_open(pid)
    try:
        socket.send_fds(control, [json.dumps(said).encode()], [handle])
    finally:
        os.close(handle)


def _probe(place: Place, models: str) -> dict[str, str]:
    """Which layers a model would lack here, and why: tried in a process of its own."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            with os.fdopen(writer, "w") as out:
                json.dump(shut_in(place, models, 60_000, 1 << 40)[1], out)
        except BaseException as fault:
            os.write(writer, json.dumps({"bubblewrap": f"it cannot be completed: {fault}"}).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as told:
        text = told.read()
    os.waitpid(pid, 0)
    missing: dict[str, str] = json.loads(text or '{"seccomp": "the process that tried it died"}')
    return missing


def _fork(
    control: socket.socket,
    fds: list[int],
    request: dict[str, Any],
    place: Place,
    compiler: Compiler,
    interface: Interface,
    children: set[int],
) -> None:
    """Start a model's process and tell of it."""
    me = os.getpid()
    try:
        code = compiler.code(request["folder"], request["uid"], request["address_space"])
        pid = os.fork()
    except OSError as fault:
        _reply(control, {"error": f"no process for it: {fault}"})
    else:
        if not pid:
            try:
                _child(fds, request, place, code, interface, me)
            finally:
                os._exit(1)
        children.add(pid)
        _reply(control, {"pid": pid}, pid)
    finally:
        for fd in fds:
            os.close(fd)


def _child(
    fds: list[int], request: dict[str, Any], place: Place, code: bytes, interface: Interface, parent: int
) -> None:
    """The forked process: shut in, then the model. Does not return before the end."""
    if not die_with(parent):
        return
    os.setsid()  # a group of its own, to be ended as a whole, and a fair share of the processor
    _only(fds)
    sock = socket.socket(fileno=3)
    folder, missing = shut_in(place, request["folder"], request["uid"], request["address_space"])
    if without := lacking(missing, request["required"]):
        send(sock, json.dumps({"error": f"not confined: {', '.join(f'{n}: {missing[n]}' for n in without)}"}))
        return
    os.chdir(folder)
    random.seed()
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()  # else every fork draws the same numbers
    serve(sock, folder, code, *interface)


def _only(fds: list[int]) -> None:
    """No file is open but the socket, as number 3, and the log as standard output and error."""
    sock, log = fds
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.dup2(sock, 3)
    os.closerange(4, os.sysconf("SC_OPEN_MAX"))


def _end(pid: int, children: set[int]) -> int | None:
    """Kill a model's process group and reap the process; how it ended, None when it is not ours."""
    if pid not in children:
        return None
    children.remove(pid)
    for kill in (os.killpg, os.kill):  # it may not have become a group yet
        with contextlib.suppress(OSError):
            kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
