"""The filter of system calls, run here as the kernel runs it, for both tables: what each call comes to."""

import errno
from collections.abc import Callable

import pytest

from coordinator_dagster.runners.confined import seccomp

ALLOW, KILL = seccomp._ALLOW, seccomp._KILL_ALL
PID = 7
Run = Callable[..., int]


@pytest.fixture(params=["x86_64", "aarch64"])
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(seccomp, "MACHINE", request.param)
    return str(request.param)


@pytest.fixture
def run(machine: str) -> Run:
    """The verdict over (number, arguments): ALLOW, KILL or an errno."""
    program = list(seccomp._program(PID))
    own = seccomp._COLUMNS[machine][1]

    def verdict(number: int, *arguments: int, architecture: int = own) -> int:
        loaded = {0: number, 4: architecture} | {16 + 8 * n: one & 0xFFFFFFFF for n, one in enumerate(arguments)}
        place, held = 0, 0
        while True:
            code, yes, no, operand = program[place]
            place += 1
            if code == seccomp._LOAD:
                held = loaded[operand]
            elif code == seccomp._RETURN:
                return operand if operand in (ALLOW, KILL) else operand & 0xFFFF
            else:
                tests = {seccomp._IS: held == operand, seccomp._AT_LEAST: held >= operand}
                place += yes if tests.get(code, bool(held & operand)) else no

    return verdict


def test_it_fits_and_every_jump_too(machine: str) -> None:
    program = list(seccomp._program(PID))
    assert len(program) < 4096 and all(max(yes, no) < 256 for _, yes, no, _ in program)


def test_each_call_comes_to_what_it_should(run: Run, machine: str) -> None:
    column = seccomp._COLUMNS[machine][0]

    def call(both: tuple[int, int], *arguments: int) -> int:
        return run(both[column], *arguments)

    for table, verdict in ((seccomp._REFUSED, errno.EPERM), (seccomp._PRETENDED, 0)):
        assert {run(both[column]) for both in table.values() if both[column] >= 0} == {verdict}
    assert {run(number) for number in seccomp._KNOWN} == {ALLOW}
    assert {run(number) for number in range(443, 1000) if number not in seccomp._KNOWN} == {errno.ENOSYS}
    assert run(0, architecture=1) == KILL and run(0x40000000) == errno.EPERM
    read, write = (0, 63), (1, 64)
    assert call(read) == call(write) == ALLOW
    thread, fork = 0x3D0F00, 17
    assert call(seccomp._CLONE, thread) == ALLOW and call(seccomp._CLONE, thread & ~0x400) == errno.EPERM
    assert call(seccomp._CLONE, fork) == errno.EPERM and call(seccomp._CLONE3) == errno.ENOSYS
    for flags, verdict in ((0x22, ALLOW), (0x21, errno.EPERM), (0x23, errno.EPERM), (1, ALLOW), (2, ALLOW)):
        assert call(seccomp._MMAP, 0, 0, 0, flags) == verdict
    for one in (seccomp._KILL, seccomp._TGKILL):
        assert call(one, PID) == ALLOW and call(one, PID + 1) == call(one, -1) == call(one, 0) == errno.EPERM
    assert call(seccomp._PRLIMIT, 0) == call(seccomp._PRLIMIT, PID) == ALLOW
    assert call(seccomp._PRLIMIT, 1) == errno.EPERM
    assert call(seccomp._SOCKETPAIR, 1, 1) == call(seccomp._SOCKETPAIR, 1, 0x80801) == ALLOW
    assert call(seccomp._SOCKETPAIR, 1, 2) == call(seccomp._SOCKETPAIR, 2, 1) == errno.EPERM
    assert call(seccomp._GETSOCKOPT, 3, 1, 3) == ALLOW and call(seccomp._GETSOCKOPT, 3, 1, 77) == errno.EPERM
    assert call(seccomp._PRCTL, 15) == ALLOW and {call(seccomp._PRCTL, n) for n in (1, 4, 22, 41, 62)} == {errno.EPERM}
    assert {call(seccomp._FCNTL, 1, n, 0) for n in (0, 1, 2, 3, 1030)} == {ALLOW}
    assert {call(seccomp._FCNTL, 1, n, 0) for n in seccomp._SIGNALS} == {errno.EPERM}
    assert call(seccomp._FCNTL, 1, 4, 0x800) == ALLOW
    assert call(seccomp._FCNTL, 1, 4, seccomp._DIRECT[machine]) == errno.EPERM
    assert call(seccomp._IOCTL, 1, 0x5401) == ALLOW and call(seccomp._IOCTL, 1, 0x5412) == errno.EPERM
