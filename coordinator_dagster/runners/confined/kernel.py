"""The calls to the kernel that Python has no names for. Each raises OSError, saying which one failed."""

import ctypes
import os
import platform
import struct
import sys
from typing import Any

LINUX = sys.platform == "linux"
MACHINE = platform.machine()
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = (
    1, 2, 4, 8, 32, 4096, 16384, 1 << 18,
)  # fmt: skip
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_SET_THP_DISABLE = 1, 4, 24, 38, 41
CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
_LAST_CAP = 63  # more than there are; the kernel says EINVAL after its own last one

_libc: Any = ctypes.CDLL(None, use_errno=True)
if LINUX:  # looked up once, not in every process
    for _name in ("prctl", "unshare", "mount", "syscall", "capset"):
        getattr(_libc, _name)


def called(name: str, result: int) -> int:
    """The result of a call; OSError when it is the kernel's -1."""
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result


def syscall(name: str, number: int, *arguments: Any) -> int:
    """A system call by its number; `bytes` go as a pointer to them."""
    given = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    return called(name, _libc.syscall(ctypes.c_long(number), *given))


def prctl(option: int, value: int = 0) -> None:
    long = ctypes.c_ulong
    called(f"prctl {option}", _libc.prctl(option, long(value), long(0), long(0), long(0)))


def unshare(flags: int) -> None:
    called("unshare", _libc.unshare(flags))


def mount(source: str, target: str, kind: str | None = None, flags: int = 0, options: str = "") -> None:
    """Mount; `kind` None where `flags` say it is a bind, a remount or a change of propagation."""
    result = _libc.mount(
        source.encode(), target.encode(), kind.encode() if kind else None, ctypes.c_ulong(flags), options.encode()
    )
    called(f"mount {target}", result)


def bound_capabilities() -> None:
    """No capability can be had ever again; those that are held stay until `drop_capabilities`."""
    for capability in range(_LAST_CAP):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError as fault:
            if fault.errno != 22:  # EINVAL: there are no more
                raise
            break


def drop_capabilities() -> None:
    """Give up every capability: effective, permitted and inheritable."""
    this_thread = struct.pack("=II", 0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3
    called("capset", _libc.capset(this_thread, bytes(24)))
