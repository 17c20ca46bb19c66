"""The faults, one function each: it returns when the fault is over, with the processes that must then end too."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from tests.cli.serving import of_home, until
from tests.kills.instance import Instance, kill, with_children
from tests.kills.stored import Runs, Stored

RESTART_SECONDS = 3  # as in the systemd unit
AWAY_SECONDS = 30
STOPPED_SECONDS = 4
VENUE_SECONDS = 15
BROKEN = "\nnot a setting\n"
STARTS_SECONDS = 60
LATE = 90  # longer than the pauses of the supervisor


@dataclass(frozen=True)
class Live:
    """What a fault is done to."""

    instance: Instance
    stored: Stored
    runs: Runs


Ending = Sequence[psutil.Process]
Fault = Callable[[Live], Ending]


def _kill_run(live: Live, run_id: str) -> Ending:
    """The process of the run alone; its models end by themselves."""
    process = live.stored.process(run_id)
    all_of_it = with_children([process])
    kill(process)
    return all_of_it


def working_run(live: Live) -> Ending:
    return _kill_run(live, live.runs.working)


def waiting_run(live: Live) -> Ending:
    return _kill_run(live, live.runs.waiting)


def stopped_run(live: Live) -> Ending:
    """The working run stands still until another has its lease, then goes on: it must see that, and end."""
    process = live.stored.process(live.runs.working)
    all_of_it = with_children([process])
    process.suspend()
    try:
        until(lambda: live.stored.lease() == (live.runs.waiting, True), 15)
        time.sleep(STOPPED_SECONDS)
    finally:
        process.resume()
    return all_of_it


def service(name: str) -> Fault:
    def fault(live: Live) -> Ending:
        process = live.instance.service(name)
        assert process
        kill(process)
        workers = [live.stored.process(one) for one in (live.runs.working, live.runs.waiting)]
        assert all(one.is_running() for one in workers), "a run died with it"
        return [process]

    return fault


def coordinator_live(live: Live) -> Ending:
    """Its services die with it, the runs do not; then it is started again."""
    workers = [live.stored.process(one) for one in (live.runs.working, live.runs.waiting)]
    live.instance.process.kill()
    live.instance.process.wait()
    time.sleep(RESTART_SECONDS)
    assert all(one.is_running() for one in workers), "a run died with it"
    live.instance.start()
    return []


def postgres(live: Live) -> Ending:
    postmaster = live.instance.postmaster()
    assert postmaster
    kill(postmaster)
    until(lambda: (new := live.instance.postmaster()) and new.pid != postmaster.pid and live.stored.answers(), 30)
    return []


def postgres_for_long(live: Live) -> Ending:
    """For half a minute it does not start."""
    with postgres_away(live.instance, live.stored):
        end = time.monotonic() + AWAY_SECONDS
        while time.monotonic() < end:
            assert not live.stored.answers(), "it was not away"
            time.sleep(0.5)
    until(live.stored.answers, LATE)
    return []


@contextmanager
def postgres_away(instance: Instance, stored: Stored) -> Iterator[None]:
    """Killed, and nobody can start it: its configuration is broken."""
    postmaster, file = instance.postmaster(), instance.data / "postgresql.auto.conf"
    assert postmaster
    whole = file.read_text()
    file.write_text(whole + BROKEN)
    try:
        kill(postmaster)
        until(lambda: not stored.answers(), 5)  # its backends take a moment to end
        yield
    finally:
        file.write_text(whole)


def sockets(live: Live) -> Ending:
    before = live.instance.venue.injected("ws_drop_after")
    live.instance.venue.faults(ws_drop_after={"messages": 1})
    until(lambda: live.instance.venue.injected("ws_drop_after") > before, 5)
    return []


def rest(live: Live) -> Ending:
    return _for_a_while(live, http_503={"times": None, "path": "/api"})


def sockets_and_rest(live: Live) -> Ending:
    drops = {"messages": 1, "times": None}
    return _for_a_while(live, ws_drop_after=drops, http_503={"times": None, "path": "/api"})


def _for_a_while(live: Live, **kinds: object) -> Ending:
    before = {kind: live.instance.venue.injected(kind) for kind in kinds}
    live.instance.venue.faults(**kinds)
    time.sleep(VENUE_SECONDS)
    live.instance.venue.faults(clear=True)
    assert all(live.instance.venue.injected(kind) > count for kind, count in before.items()), "nothing was disturbed"
    return []


def everything(live: Live) -> Ending:
    """Every process at once, PostgreSQL too; then it is started again."""
    postmaster = live.instance.postmaster()
    assert postmaster
    first = [*of_home(live.instance.home), *with_children([postmaster])]
    all_of_it = with_children(first)
    for one in first:
        kill(one)
    live.instance.process.wait()
    time.sleep(RESTART_SECONDS)
    live.instance.start()
    return all_of_it


def everything_again(live: Live) -> Ending:
    """Once more, when the runs that are to replace the dead ones have been launched and are not at work yet."""
    before = [*everything(live), *of_home(live.instance.home)]
    dead = {live.runs.working, live.runs.waiting}
    until(lambda: live.stored.answers() and set(live.stored.launched_runs()) - dead, STARTS_SECONDS)
    return [*before, *everything(live)]


def terminated(live: Live) -> Ending:
    """*Terminate* in the UI: CANCELED within seconds, and the lease is free at once."""
    processes = with_children([live.stored.process(live.runs.working)])
    answer = live.instance.terminate(live.runs.working)
    assert "TerminateRunSuccess" in answer, answer
    taken = until(lambda: live.stored.lease() == (live.runs.waiting, True), 5)
    ended = until(lambda: live.stored.status(live.runs.working) == "CANCELED", 10)
    print(f"Terminate: the other had the lease after {taken:.1f} s, CANCELED {ended:.1f} s later")
    return processes
