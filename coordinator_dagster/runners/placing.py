"""Put a submission among the models, or take a model away, so that nobody ever sees half of one."""

import ctypes
import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from coordinator_dagster.runners.submission import read_file, read_submission, walk

# What is taken away stays so long: the process that runs it may still read its files until its last cycle is over.
KEPT_SECONDS = 3600
_ADDING = re.compile(r"\.adding-[0-9a-f]{16}")
_REMOVED = re.compile(r"\.removed-(\d+)-[0-9a-f]{16}")
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)  # Linux only
_WITHOUT_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)


@contextmanager
def alone(models_dir: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Nobody else adds or removes meanwhile, and what a killed one left is gone; `waiting` is called before a wait."""
    folder = os.open(models_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(folder, fcntl.LOCK_EX)
        _sweep(models_dir)
        yield
    finally:
        os.close(folder)


def _sweep(models_dir: Path) -> None:
    """Delete what an add that was killed left, and what was taken away an hour ago."""
    for path in list(models_dir.iterdir()):
        removed = _REMOVED.fullmatch(path.name)
        if _ADDING.fullmatch(path.name) or (removed and time.time() - int(removed[1]) > KEPT_SECONDS):
            shutil.rmtree(path)


@contextmanager
def staged(source: Path, id_: str, parent: Path) -> Iterator[Path]:
    """A copy of the submission as `parent/.adding-…/ID`, gone at the end; UserErrors when it cannot be one.

    Hidden files and `__pycache__` are left out: what is checked, counted and run is the copy.
    """
    entries = walk(source.resolve(), hidden=False)
    read_submission(source.resolve(), entries, source, id_)
    place = parent / f".adding-{secrets.token_hex(8)}"
    try:
        _make(place)
        for entry in entries:
            if stat.S_ISDIR(entry.mode):
                _make(place / id_ / entry.path)
            else:
                target = place / id_ / entry.path
                target.write_bytes(read_file(source.resolve() / entry.path, inode=entry.inode))
                target.chmod(0o644)
        yield place / id_
    finally:
        shutil.rmtree(place, ignore_errors=True)  # the next one sweeps what is left


def _make(folder: Path) -> None:
    """A folder that the models' processes can read, whatever the umask of the operator."""
    folder.mkdir()
    folder.chmod(0o755)


def place(copy: Path, models_dir: Path) -> None:
    """The staged copy takes its place among the models, at once; what was there is taken away."""
    target = models_dir / copy.name
    if not os.path.lexists(target):
        copy.rename(target)
        return
    away = _away(models_dir)
    if not _exchange(copy, target):
        target.rename(away / copy.name)
        copy.rename(target)
    else:
        copy.rename(away / copy.name)


def take_away(id_: str, models_dir: Path) -> None:
    """The model is gone at once; its files are deleted later, see KEPT_SECONDS."""
    (models_dir / id_).rename(_away(models_dir) / id_)


def _away(models_dir: Path) -> Path:
    folder = models_dir / f".removed-{int(time.time())}-{secrets.token_hex(8)}"
    folder.mkdir()
    return folder


def _exchange(one: Path, other: Path) -> bool:
    """The two change places in a single step; False where the system cannot do that."""
    if _renameat2 is None:
        return False
    if _renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _WITHOUT_EXCHANGE:
        return False
    raise OSError(code, os.strerror(code), str(other))
