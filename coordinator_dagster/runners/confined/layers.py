"""What a model's process is shut in with, layer by layer, before anything of the participant's runs.

Each layer holds by itself; together they leave a hole in one of them without consequence. What a kernel or a
machine lacks is returned by name: whether that is good enough is the operator's decision, not ours.
"""

import contextlib
import os
import resource
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from . import kernel
from .landlock import restrict_files
from .seccomp import refuse_system_calls

OWN, ALL, SCRATCH = "/model", "/models", "/scratch"  # the sandbox's own: each model has another
_FILE_BYTES = 16 << 20  # the largest file: the log and what is in the scratch folder
_OPEN_FILES, _TASKS = 64, 16
_CPU_SECONDS = 6 * 3600  # what spins for ever between the instants of a batch ends some day
_SCRATCH = "size=16m,nr_inodes=1024,mode=0700"


@dataclass(frozen=True)
class Place:
    """What the sandbox is like: made by bubblewrap or none; as root or not; what may be read there."""

    sandboxed: bool
    root: bool
    readable: tuple[str, ...]


def shut_in(place: Place, folder: str, uid: int, address_space: int) -> tuple[str, dict[str, str]]:
    """Put every layer on this process: the model's folder as it sees it, and why each missing layer is missing.

    `uid` is whom it becomes where we are root, `address_space` the bytes of memory it may map.
    """
    missing: dict[str, str] = {}
    try:
        folder = _own_view(folder, uid, place)
    except OSError as fault:
        missing["bubblewrap"] = str(fault)
    counted_alone = place.root or _own_user_namespace()
    write = [os.devnull, *([SCRATCH] if place.sandboxed else [])]
    layers: list[tuple[str, Callable[[], None]]] = [
        ("user", lambda: _become(uid, place, folder)),
        ("limits", lambda: _limit(address_space, counted_alone)),
        ("landlock", lambda: restrict_files([*place.readable, folder], write)),
        ("seccomp", refuse_system_calls),
    ]
    for name, put_on in layers:
        try:
            put_on()
        except (OSError, ValueError, AttributeError) as fault:
            missing[name] = str(fault)
    return folder, missing


def _own_view(folder: str, uid: int, place: Place) -> str:
    """A view of the files for this process alone: its own folder, no other model's, and an empty scratch folder."""
    if not place.sandboxed:
        raise OSError("it shares our files, processes and network")
    kernel.unshare(kernel.CLONE_NEWNS)
    kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    kept = kernel.MS_NOSUID | kernel.MS_NODEV
    kernel.mount(folder, OWN, flags=kernel.MS_BIND)
    locked = os.statvfs(OWN).f_flag & kernel.MS_NOEXEC  # of a mount that is not ours this cannot be taken off
    kernel.mount("none", OWN, flags=kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_RDONLY | kept | locked)
    kernel.mount("tmpfs", ALL, "tmpfs", kernel.MS_RDONLY | kept, "size=4k,nr_inodes=1,mode=0000")
    kernel.mount("tmpfs", SCRATCH, "tmpfs", kept, f"{_SCRATCH},uid={uid if place.root else os.getuid()}")
    return OWN


def _become(uid: int, place: Place, folder: str) -> None:
    """Nobody in particular, without a capability, and gone with the process that starts models."""
    try:
        if kernel.LINUX and place.root and not place.sandboxed:
            kernel.bound_capabilities()
        if place.root:
            _change_user(uid, folder)
        elif not place.sandboxed:
            raise OSError("it runs as the coordinator's own user")
    finally:
        if kernel.LINUX:
            kernel.drop_capabilities()
            kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)  # a change of user had taken it off
            kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
            kernel.prctl(kernel.PR_SET_DUMPABLE, 0)


def _change_user(uid: int, folder: str) -> None:
    """Another user and group for good, if that one can read what the model needs; OSError, and still root, if not."""
    os.setgroups([])
    os.setegid(uid)
    os.seteuid(uid)
    try:
        for needed in (folder, str(os.__file__)):
            with contextlib.suppress(NotADirectoryError):
                os.scandir(needed).close()
    except PermissionError as fault:
        raise OSError(f"user {uid} cannot read {fault.filename}") from None
    finally:
        os.seteuid(0)
        os.setegid(0)
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def _own_user_namespace() -> bool:
    """In one of its own an ordinary user's process is counted alone; what it may do in it goes with the next layer."""
    try:
        kernel.unshare(kernel.CLONE_NEWUSER)
    except (OSError, AttributeError):
        return False  # a machine may forbid it
    return True


def _limit(address_space: int, counted_alone: bool) -> None:
    bounds = {"CORE": 0, "FSIZE": _FILE_BYTES, "NOFILE": _OPEN_FILES, "CPU": _CPU_SECONDS, "MEMLOCK": 0, "MSGQUEUE": 0}
    if counted_alone:  # else every process of the user would count
        bounds["NPROC"] = _TASKS
    if kernel.LINUX:
        bounds["AS"] = address_space
        kernel.prctl(kernel.PR_SET_THP_DISABLE, 1)  # of a huge page 4 KB stay mapped, and counted, and 2 MB taken
    for name, most in bounds.items():
        if (kind := getattr(resource, f"RLIMIT_{name}", None)) is not None:
            resource.setrlimit(kind, (most, most))


def lacking(missing: Iterable[str], required: Iterable[str]) -> list[str]:
    """The layers that are required and missing, by name."""
    return sorted(set(missing) & set(required))


def die_with(parent: int) -> bool:
    """Ask to be killed when `parent` dies; False when it has died already."""
    if kernel.LINUX:
        with contextlib.suppress(OSError):
            kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    return os.getppid() == parent


def silence() -> None:
    """What is printed from now on is gone."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)
