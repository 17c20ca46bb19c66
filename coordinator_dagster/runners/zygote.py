"""The coordinator's end of `confined/zygote.py`: the process that forks the models."""

import contextlib
import importlib.util
import json
import os
import re
import socket
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from coordinator_dagster.errors import UserError
from coordinator_dagster.runners import sandbox
from coordinator_dagster.runners.confined import layers
from coordinator_dagster.runners.processes import Process, pid_of

_LOADING = 30.0  # seconds for it to load what is preloaded
_USERS = range(10_000, 60_000)  # numbers that no account has, as a rule: each process is another


class Zygote:
    """Forks models and ends them. An OSError means it could not; `lost`, that it and all models are gone.

    `missing` says which of `layers.LAYERS` a model does not have, and why.
    """

    def __init__(self, models_dir: Path, base_class: str, preload: Sequence[str], patience: float) -> None:
        """Start it; it has `patience` seconds for each reply.

        UserError when `base_class`, `module:Class`, or a module to preload cannot be loaded.
        """
        self.models_dir, self.preload, packages = models_dir, preload, _packages(base_class)
        self._patience, self._started = patience, os.getpid() * 997  # far from another coordinator's
        bwrap = sandbox.find()
        if said := self._start(bwrap, models_dir, base_class, packages, preload) if bwrap else None:
            why = ""
        else:
            why = self._last_words() if bwrap else "bubblewrap is not installed"
            said = self._start(None, models_dir, base_class, packages, preload)
        if said is None:
            raise OSError(f"the process that starts models did not: {self._last_words()}")
        if "error" in said:
            self.close()
            raise UserError(said["error"])
        self.missing: dict[str, str] = said["missing"]
        if why:
            self.missing["bubblewrap"] = f"{why}: {self.missing['bubblewrap']}"

    def _start(
        self, bwrap: str | None, models_dir: Path, base_class: str, packages: Sequence[Path], preload: Sequence[str]
    ) -> dict[str, Any] | None:
        """Its first word, or None when it ended without one."""
        self.lost, self._sandboxed = False, bwrap is not None
        self._control, theirs = socket.socketpair()
        self._control.settimeout(max(self._patience, _LOADING))
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  it is ours as long as the process is
        started = threading.Event()
        with theirs:
            command = sandbox.command(bwrap, models_dir, base_class, packages, preload, theirs.fileno())
            self._keeper = threading.Thread(target=self._keep, args=(command, theirs.fileno(), started), daemon=True)
            self._keeper.start()
            started.wait()
        try:
            said, handle = self._call()
        except OSError:
            return None
        self._control.settimeout(self._patience)
        self._own_memory = 0
        if handle is not None:
            self._own_memory = psutil.Process(pid_of(handle)).memory_info().vms
            os.close(handle)
        return said

    def _keep(self, command: Sequence[str], control: int, started: threading.Event) -> None:
        """Run it, in a thread that lives as long: bubblewrap dies with the thread that started it."""
        self._process = subprocess.Popen(
            command, pass_fds=[control], env=sandbox.ENVIRONMENT, cwd="/", start_new_session=True,  # Ctrl-C is ours
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self._said,
        )  # fmt: skip
        started.set()
        self._process.wait()

    def _last_words(self) -> str:
        """What it, or bubblewrap, wrote before it ended."""
        self._said.seek(0)
        lines = self._said.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1][:400] if lines else "it died"

    def _call(
        self, request: dict[str, Any] | None = None, fds: Sequence[int] = ()
    ) -> tuple[dict[str, Any], int | None]:
        """Its reply to a request (its first word, without one), and the handle on a process that came along."""
        try:
            if request:
                socket.send_fds(self._control, [json.dumps(request).encode()], fds)
            data, handles, _, _ = socket.recv_fds(self._control, 65536, 1)
            if not data:
                raise ConnectionError("the process that starts models died")
        except OSError:  # after a time-out too: requests and replies no longer match
            self.close()
            raise
        return json.loads(data), handles[0] if handles else None

    def spawn(self, folder: Path, log: int, memory: int, required: Sequence[str]) -> Process:
        """Fork a process for the model in `folder`; `log` is an open file, `memory` in bytes.

        It ends before it runs anything of the model's when a layer that is `required` cannot be put on.
        """
        self._started += 1
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        request = {
            "folder": f"{layers.ALL}/{folder.name}" if self._sandboxed else str(folder),
            "uid": _USERS[self._started % len(_USERS)],
            "address_space": self._own_memory + memory,
            "required": list(required),
        }
        with theirs, contextlib.ExitStack() as undo:
            undo.callback(ours.close)
            said, handle = self._call(request, [theirs.fileno(), log])
            if "error" in said:
                raise OSError(said["error"])
            undo.pop_all()
        return Process(ours, said["pid"], handle)

    def end(self, process: Process) -> str:
        """Kill a model's process, with its group, and reap it; how it ended, in words."""
        status = self._call({"end": process.pid})[0]["status"]
        how = "" if status is None else f" (signal {-status})" if status < 0 else f" (exit code {status})"
        return "the model's process died" + how

    def kill(self) -> None:
        """End it and every model's process without a word; it is not reaped yet."""
        self._process.kill()  # what bubblewrap started dies with it; so do the models with their starter

    def close(self) -> None:
        """End it and every model's process."""
        self.lost = True
        self._control.close()
        self._keeper.join(5)
        if self._keeper.is_alive():
            self.kill()
            self._keeper.join()


def _packages(base_class: str) -> list[Path]:
    """What is to be importable for the base class: the folder of its package, or its module's file."""
    top = base_class.partition(":")[0].partition(".")[0]
    spec = importlib.util.find_spec(top) if re.fullmatch(r"\w+(\.\w+)*:\w+", base_class) else None
    if spec is None or not (spec.origin or spec.submodule_search_locations):
        raise UserError(f"MODEL_BASE_CLASSNAME: no module of {base_class!r} is found; write module:Class")
    return [Path(one) for one in spec.submodule_search_locations or [str(spec.origin)]]
