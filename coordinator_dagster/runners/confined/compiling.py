"""A model's `main.py` is compiled once, not in each of its processes, where that takes as long as all the rest.

That is done in a process that is shut in as the model's is and runs nothing of it; what it returns is decoded only in
the model's own processes, and is made of the source alone: nothing gets from one window to another by it.
"""

import marshal
import os
import select
import signal
import sys
import time
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType

from .layers import Place, die_with, shut_in, silence

_SECONDS = 0.05  # everybody waits: what takes longer is left to the model's process
_BYTES = 1 << 20

Stamp = tuple[int, int, int]


class Compiler:
    """Remembers the code of each folder's `main.py`, for as long as that stays the same file."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._known: dict[str, tuple[Stamp, bytes]] = {}

    def code(self, folder: str, uid: int, address_space: int) -> bytes:
        """What `load` takes; empty where it could not be made. `uid`, `address_space`: as the model's process."""
        try:
            found = Path(folder, "main.py").stat()
        except OSError:
            return b""
        stamp = (found.st_ino, found.st_size, found.st_mtime_ns)
        if folder not in self._known or self._known[folder][0] != stamp:
            self._known[folder] = stamp, self._compile(folder, uid, address_space)
        return self._known[folder][1]

    def _compile(self, folder: str, uid: int, address_space: int) -> bytes:
        reader, writer = os.pipe()
        parent, pid = os.getpid(), os.fork()
        if not pid:
            try:
                if die_with(parent):
                    os.dup2(writer, 3)
                    os.closerange(4, os.sysconf("SC_OPEN_MAX"))
                    silence()  # what its source makes Python warn of is not ours to keep
                    folder, _ = shut_in(self._place, folder, uid, address_space)
                    with os.fdopen(3, "wb") as told:
                        told.write(_compiled(folder))
            finally:  # what was wrong with it, the model's own process will say
                os._exit(0)
        os.close(writer)
        try:
            return _read(reader, time.monotonic() + _SECONDS)
        finally:
            os.close(reader)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _compiled(folder: str) -> bytes:
    path = Path(folder, "main.py")
    with path.open("rb") as file:
        source = file.read(_BYTES)
    made = marshal.dumps((source, compile(source, path, "exec", dont_inherit=True)))
    return len(made).to_bytes(4, "big") + made


def _read(reader: int, until: float) -> bytes:
    """All of it, or nothing when it has not come by then or is too large."""
    data = b""
    while len(data) < _BYTES and select.select([reader], [], [], max(0.0, until - time.monotonic()))[0]:
        more = os.read(reader, 1 << 16)
        if not more:
            break
        data += more
    return data[4:] if len(data) == 4 + int.from_bytes(data[:4], "big") else b""


class _Loader(SourceFileLoader):
    """Runs code that was compiled before, where the source still is what it was made of."""

    def __init__(self, path: str, compiled: bytes) -> None:
        super().__init__("main", path)
        self._source, self._code = marshal.loads(compiled)  # noqa: S302  in the model's own process

    def get_code(self, fullname: str) -> CodeType | None:
        return self._code if self.get_data(self.path) == self._source else super().get_code(fullname)


def load(folder: str, compiled: bytes) -> ModuleType:
    """The module `main` of that folder, as an import gives it."""
    path = f"{folder}/main.py"
    spec = spec_from_file_location("main", path, loader=_Loader(path, compiled))
    assert spec and spec.loader
    module = sys.modules["main"] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
