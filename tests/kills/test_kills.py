"""kill -9 of everything that a live competition consists of, one after the other, while cycles go on.

`make kills`: most of a quarter of an hour. Each case says in a line how long it took and what was MISSED.
"""

import os
import time
from datetime import datetime, timedelta

import pytest

from slots.market import utc
from tests.cli.serving import of_home, until
from tests.kills import faults
from tests.kills.faults import Live, postgres_away
from tests.kills.instance import SPEED, Instance, gone, with_children
from tests.kills.stored import Stored

pytestmark = [
    pytest.mark.kills,
    pytest.mark.venue,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        os.environ.get("COORDINATOR_TEST_KILLS_LIVE") != "1", reason="takes a quarter of an hour: `make kills`"
    ),
]
GOES_ON, STARTS_AGAIN = 15, 60  # seconds within which a cycle is PERFORMED again
STEADY_SECONDS = 120
AFTERWARDS = 6  # seconds of cycles after the first one
# The fault, within what a cycle is PERFORMED again, and whether the same run must still be at work then.
CASES = {
    "the working live run": (faults.working_run, GOES_ON, False),
    "the working live run, stopped and going on": (faults.stopped_run, GOES_ON, False),
    "the waiting live run": (faults.waiting_run, GOES_ON, True),
    "Terminate in the UI": (faults.terminated, GOES_ON, False),
    "the webserver": (faults.service("webserver"), GOES_ON, True),
    "the daemon": (faults.service("daemon"), GOES_ON, True),
    "the code server": (faults.service("code server"), GOES_ON, True),
    "the working live run, after its code server": (faults.working_run, GOES_ON, False),
    "coordinator live": (faults.coordinator_live, GOES_ON, True),
    "PostgreSQL": (faults.postgres, GOES_ON, True),
    "PostgreSQL, away for half a minute": (faults.postgres_for_long, GOES_ON, False),
    "the exchange's sockets": (faults.sockets, GOES_ON, True),
    "the exchange's REST": (faults.rest, GOES_ON, True),
    "the exchange's sockets and REST": (faults.sockets_and_rest, GOES_ON, True),
    "everything": (faults.everything, STARTS_AGAIN, False),
    "everything, and again while it starts": (faults.everything_again, STARTS_AGAIN, False),
}


@pytest.mark.parametrize("name", CASES)
def test_cycles_go_on(instance: Instance, stored: Stored, name: str) -> None:
    fault, limit, survives = CASES[name]
    live = steady(instance, stored)
    kept = stored.kept()
    began, begun = instance.venue.now(), time.monotonic()
    ending = fault(live)
    over, lasted = instance.venue.now(), time.monotonic() - begun
    seconds = until(lambda: stored.performed_after(over), limit)
    gone(ending)
    time.sleep(AFTERWARDS)
    missed = missed_within(stored, began, utc(over) + timedelta(seconds=limit * SPEED))
    same = stored.lease() == (live.runs.working, True)
    by = "the same run" if same else "another run"
    print(f"\n{name}: fault {lasted:.1f} s, next cycle {seconds:.1f} s after it by {by}, {missed}")
    assert same or not survives, "another run had to take over"
    nothing_lost(stored, kept, began)


def steady(instance: Instance, stored: Stored) -> Live:
    """Wait until all is well: both runs, the UI, and cycles."""
    until(stored.runs, STEADY_SECONDS)
    until(instance.serves, STEADY_SECONDS)
    now = instance.venue.now()
    until(lambda: stored.performed_after(now), STEADY_SECONDS)
    runs = stored.runs()
    assert runs
    return Live(instance, stored, runs)


def missed_within(stored: Stored, began: str, until_: datetime) -> str:
    """The MISSED cycles since the fault, in words: each has its reason, and none is later than that."""
    rows = stored.missed_since(began)
    assert all(row.reason for row in rows)
    late = [f"{row.performed_at}: {row.reason}" for row in rows if row.performed_at > until_]
    assert not late, f"MISSED after the fault: {late}"
    first = f" ({rows[0].performed_at:%H:%M:%S} … {rows[-1].performed_at:%H:%M:%S}; {rows[-1].reason})" if rows else ""
    return f"{len(rows)} MISSED{first}"


def nothing_lost(stored: Stored, kept: dict[str, dict[str, str]], began: str) -> None:
    """What was acknowledged before the fault is as it was, nothing is twice, and of every instant something is said."""
    now = stored.kept()
    for table, rows in kept.items():
        lost = {key for key, row in rows.items() if now[table].get(key) != row}
        assert not lost, f"{table}: gone, or not as they were: {sorted(lost)}"
    assert not (twice := stored.twice()), twice
    assert not (holes := stored.holes_since(began)), f"nothing is said of {holes}"


def test_the_audit_finds_nothing(instance: Instance) -> None:
    print(f"\ncoordinator audit: {instance.audit()}")


def test_ctrl_c_ends_all(instance: Instance, stored: Stored) -> None:
    """Within 15 seconds; no run is left in Dagster, no service, no run worker, no model."""
    steady(instance, stored)
    interrupted(instance)
    assert not stored.alive_runs()
    print(f"coordinator audit: {instance.audit()}")


def test_ctrl_c_ends_all_while_the_database_is_away(instance: Instance, stored: Stored) -> None:
    """The runs cannot be told to Dagster then; a later live-run sensor finds them dead."""
    instance.start()
    steady(instance, stored)
    with postgres_away(instance, stored):
        interrupted(instance)
    instance.start()
    steady(instance, stored)
    interrupted(instance)
    print(f"coordinator audit: {instance.audit()}")


def interrupted(instance: Instance) -> None:
    processes = with_children(of_home(instance.home))
    models = [one for one in processes if "confined.zygote" in " ".join(one.cmdline())]
    assert models
    seconds = instance.interrupt()
    gone(processes)
    print(f"\nCtrl-C: {len(processes)} processes, {len(models)} of models, ended in {seconds:.1f} s")
