"""The system calls that a model's process is refused: a filter that nothing in it can take off again.

It starts no process, opens no socket, signals nobody but itself, shares no memory, mounts nothing. Threads, files
and mathematics work. Each refusal is EPERM, an exception in Python, so that an import that merely tries goes on.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Iterable, Iterator

from .kernel import MACHINE, PR_SET_NO_NEW_PRIVS, prctl, syscall

_COLUMNS = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # of the tables, and AUDIT_ARCH_…
# Numbers on x86-64 and on aarch64, whose table is the generic one; -1: it has no such call.
_REFUSED: dict[str, tuple[int, int]] = {
    # processes
    "fork": (57, -1), "vfork": (58, -1), "execve": (59, 221), "execveat": (322, 281), "setsid": (112, 157),
    "setpgid": (109, 154), "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "process_madvise": (440, 440), "kcmp": (312, 272), "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424), "tkill": (200, 130), "timer_create": (222, 107),
    "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "setpriority": (141, 140),
    "sched_setscheduler": (144, 119), "sched_setattr": (314, 274), "sched_setparam": (142, 118),
    "sched_setaffinity": (203, 122), "ioprio_set": (251, 30), "migrate_pages": (256, 238), "move_pages": (279, 239),
    # network
    "socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201), "accept": (43, 202),
    "accept4": (288, 242), "sendmsg": (46, 211), "sendmmsg": (307, 269), "setsockopt": (54, 208),
    # memory that no limit counts
    "memfd_create": (319, 279), "userfaultfd": (323, 282), "shmget": (29, 194),
    "shmat": (30, 196), "shmctl": (31, 195), "semget": (64, 190), "semop": (65, 193), "semtimedop": (220, 192),
    "semctl": (66, 191), "msgget": (68, 186), "msgsnd": (69, 189), "msgrcv": (70, 188), "msgctl": (71, 187),
    "mq_open": (240, 180), "mq_unlink": (241, 181), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427), "io_setup": (206, 0), "io_submit": (209, 2), "vmsplice": (278, 75),
    "splice": (275, 76), "tee": (276, 77),
    # files
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "open_tree": (428, 428),
    "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432),
    "fspick": (433, 433), "mount_setattr": (442, 442), "mknod": (133, -1), "mknodat": (259, 33),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263), "inotify_init": (253, -1), "inotify_init1": (294, 26), "inotify_add_watch": (254, 27),
    "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "removexattr": (197, 14),
    "lremovexattr": (198, 15), "fremovexattr": (199, 16), "pwritev2": (328, 287),
    "quotactl": (179, 60), "swapon": (167, 224), "swapoff": (168, 225), "acct": (163, 89),
    # privileges and the machine
    "unshare": (272, 97), "setns": (308, 268), "seccomp": (317, 277), "bpf": (321, 280),
    "perf_event_open": (298, 241), "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "personality": (135, 92), "modify_ldt": (154, -1), "iopl": (172, -1), "ioperm": (173, -1),
    "setuid": (105, 146), "setgid": (106, 144), "setreuid": (113, 145), "setregid": (114, 143),
    "setresuid": (117, 147), "setresgid": (119, 149), "setgroups": (116, 159), "setfsuid": (122, 151),
    "setfsgid": (123, 152), "capset": (126, 91), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "kexec_load": (246, 104), "kexec_file_load": (320, 294), "reboot": (169, 142),
    "syslog": (103, 116), "vhangup": (153, 58), "settimeofday": (164, 170), "clock_settime": (227, 112),
    "adjtimex": (159, 171), "clock_adjtime": (305, 266), "sethostname": (170, 161), "setdomainname": (171, 162),
}  # fmt: skip
# It is told that these went well: nothing is written to a disk at its bidding, and the owner, mode and times of a file,
# which Landlock leaves to the owner, stay. What it does in its scratch folder needs none of them.
_PRETENDED: dict[str, tuple[int, int]] = {
    "sync": (162, 81), "fsync": (74, 82), "fdatasync": (75, 83), "syncfs": (306, 267), "sync_file_range": (277, 84),
    "msync": (26, 227), "chmod": (90, -1), "fchmod": (91, 52), "fchmodat": (268, 53), "chown": (92, -1),
    "fchown": (93, 55), "lchown": (94, -1), "fchownat": (260, 54), "utime": (132, -1), "utimes": (235, -1),
    "futimesat": (261, -1), "utimensat": (280, 88),
}  # fmt: skip
# Whatever is newer than this table: a kernel without it says ENOSYS, and so do we. Python and glibc need few of them.
_NEWER, _KNOWN = 443, (449, 453, 454, 455, 456)  # futex_waitv, map_shadow_stack, futex_wake, _wait, _requeue
_CLONE, _CLONE3, _CLONE_THREAD, _CLONE_FILES = (56, 220), (435, 435), 0x10000, 0x400
_MMAP, _MAP_SHARED, _MAP_ANONYMOUS = (9, 222), 0x01, 0x20
_KILL, _TGKILL, _PRLIMIT, _SOCKETPAIR = (62, 129), (234, 131), (302, 261), (53, 199)
_PRCTL, _FCNTL, _IOCTL, _GETSOCKOPT = (157, 167), (72, 25), (16, 29), (55, 209)
_OPTIONS = (15, 16, 0x53564D41)  # prctl: PR_SET_NAME, PR_GET_NAME, PR_SET_VMA, by which memory gets a name
_PEER_HANDLE, _LOCAL = 77, 1  # SO_PEERPIDFD: a handle on the coordinator; AF_UNIX
_STREAMS = (1, 1 | 0x800, 1 | 0x80000, 1 | 0x80800)  # SOCK_STREAM, nonblocking, close-on-exec
# fcntl: SIGIO for others; and SIGCONT for itself, which ends a SIGSTOP: also why it can make no timers.
_SIGNALS = (8, 15, 10, 1024, 1026)  # F_SETOWN, F_SETOWN_EX, F_SETSIG, F_SETLEASE, F_NOTIFY
_SET_FLAGS, _DIRECT = 4, {"x86_64": 0x4000, "aarch64": 0x10000}  # to the disk, past the cache
_IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # is it a terminal, its size, how much, block, close on exec

_X32 = 0x40000000
_LOAD, _IS, _AT_LEAST, _HAS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL_ALL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000

Step = tuple[int, int, int, int]  # code, jump if true, jump if not, operand
_ALLOWED: Step = (_RETURN, 0, 0, _ALLOW)
_DENIED: Step = (_RETURN, 0, 0, _ERRNO | errno.EPERM)
_UNKNOWN: Step = (_RETURN, 0, 0, _ERRNO | errno.ENOSYS)


def _argument(place: int) -> Step:
    return (_LOAD, 0, 0, 16 + 8 * place)  # in struct seccomp_data; the low half, which is all these calls read


def _when(number: int, *steps: Step) -> Iterator[Step]:
    """Only for this call; the last of the steps returns."""
    yield (_IS, 0, len(steps), number)
    yield from steps


def _among(values: Iterable[int], then: Step) -> list[Step]:
    """`then` where what was loaded last is one of `values`."""
    return [step for value in values for step in ((_IS, 0, 1, value), then)]


def _program(pid: int) -> Iterator[Step]:
    column, architecture = _COLUMNS[MACHINE]
    yield from ((_LOAD, 0, 0, 4), (_IS, 1, 0, architecture), (_RETURN, 0, 0, _KILL_ALL))
    yield from ((_LOAD, 0, 0, 0), (_AT_LEAST, 0, 1, _X32), _DENIED)
    yield from _when(_CLONE3[column], _UNKNOWN)  # glibc then uses clone
    yield from ((_AT_LEAST, 0, 1 + 2 * len(_KNOWN), _NEWER), *_among(_KNOWN, _ALLOWED), _UNKNOWN)
    for table, said in ((_REFUSED, _DENIED), (_PRETENDED, (_RETURN, 0, 0, _ERRNO))):
        yield from _among((numbers[column] for numbers in table.values() if numbers[column] >= 0), said)
    new_thread = ((_HAS, 0, 2, _CLONE_THREAD), (_HAS, 0, 1, _CLONE_FILES), _ALLOWED, _DENIED)  # 64 files for them all
    yield from _when(_CLONE[column], _argument(0), *new_thread)
    # What is mapped so stays, all of it, as long as a page of it is mapped: no limit would count it.
    shared = ((_HAS, 0, 2, _MAP_ANONYMOUS), (_HAS, 0, 1, _MAP_SHARED), _DENIED, _ALLOWED)
    yield from _when(_MMAP[column], _argument(3), *shared)
    for call in (_KILL, _TGKILL):
        yield from _when(call[column], _argument(0), *_among([pid], _ALLOWED), _DENIED)
    yield from _when(_PRLIMIT[column], _argument(0), *_among([0, pid], _ALLOWED), _DENIED)
    local = ((_IS, 1, 0, _LOCAL), _DENIED)  # the kernel loads a module for another family before it looks at the rest
    streams = _among(_STREAMS, _ALLOWED)  # others can be sent elsewhere
    yield from _when(_SOCKETPAIR[column], _argument(0), *local, _argument(1), *streams, _DENIED)
    yield from _when(_GETSOCKOPT[column], _argument(2), *_among([_PEER_HANDLE], _DENIED), _ALLOWED)
    yield from _when(_PRCTL[column], _argument(0), *_among(_OPTIONS, _ALLOWED), _DENIED)
    flags = ((_IS, 1, 0, _SET_FLAGS), _ALLOWED, _argument(2), (_HAS, 0, 1, _DIRECT[MACHINE]), _DENIED, _ALLOWED)
    yield from _when(_FCNTL[column], _argument(1), *_among(_SIGNALS, _DENIED), *flags)
    yield from _when(_IOCTL[column], _argument(1), *_among(_IOCTLS, _ALLOWED), _DENIED)
    yield _ALLOWED


def _packed(*steps: Step) -> bytes:
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


# Made once, before anybody forks: for every model only its own pid is put in.
_NOBODY = 0x7FFFFFFF
_PACKED = _packed(*_program(_NOBODY)) if MACHINE in _COLUMNS else b""


def _of(pid: int) -> bytes:
    """The filter of the process `pid`, as the kernel takes it."""
    return _PACKED.replace(_packed((_IS, 0, 1, _NOBODY)), _packed((_IS, 0, 1, pid)))


def refuse_system_calls() -> None:
    """Put the filter on, for ever. OSError where the kernel or the machine has none."""
    if MACHINE not in _COLUMNS:
        raise OSError(errno.ENOSYS, f"no table of system calls for {MACHINE}")
    program = _of(os.getpid())
    given = struct.pack("@HP", len(program) // 8, ctypes.cast(ctypes.c_char_p(program), ctypes.c_void_p).value)
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    mode_filter = 1
    syscall("seccomp", _REFUSED["seccomp"][_COLUMNS[MACHINE][0]], mode_filter, 0, given)
