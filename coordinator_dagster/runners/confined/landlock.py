"""Which files a model's process may open at all, whatever their permissions say: Linux 5.13 and later."""

import os
import stat
import struct
from collections.abc import Iterable

from .kernel import PR_SET_NO_NEW_PRIVS, prctl, syscall

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446  # the same on every machine
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE, _IOCTL = 1, 2, 4, 8, 1 << 14, 1 << 15
_FILES_BY_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1}  # later ones: ioctl too
_TCP, _SCOPES = 3, 3  # bind and connect; abstract sockets and signals
_OF_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL


def restrict_files(read: Iterable[str], write: Iterable[str]) -> None:
    """Reading below `read`, everything but devices and execution below `write`, nothing else. OSError without it."""
    abi = syscall("landlock", _CREATE, None, 0, 1)
    handled = _FILES_BY_ABI.get(abi, (1 << 16) - 1)
    wanted = struct.pack("=QQQ", handled, _TCP, _SCOPES)[: 8 if abi < 4 else 16 if abi < 6 else 24]
    rules = syscall("landlock", _CREATE, wanted, len(wanted), 0)
    try:
        for path in read:
            _allow(rules, path, _READ_FILE | _READ_DIR)
        for path in write:
            _allow(rules, path, handled & ~(_EXECUTE | _IOCTL))
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        syscall("landlock", _RESTRICT, rules, 0)
    finally:
        os.close(rules)


def _allow(rules: int, path: str, access: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError):
        return  # what cannot be opened needs no permission
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            access &= _OF_A_FILE
        syscall("landlock", _ADD_RULE, rules, 1, struct.pack("=Qi", access, place), 0)
    finally:
        os.close(place)
