"""A whole `coordinator live`, saved and brought back with its sensors, daemon and runs at work."""

import subprocess
import time
from datetime import datetime
from pathlib import Path

import pytest

from tests.cli.serving import until
from tests.kills.conftest import instance, stored  # noqa: F401  fixtures
from tests.kills.instance import COORDINATOR, Instance
from tests.kills.stored import Stored

pytestmark = [pytest.mark.production, pytest.mark.venue, pytest.mark.timeout(600)]
BACK_SECONDS = 120  # a run is launched by the sensor, and starts its models


def command(live: Instance, *arguments: str) -> str:
    """What it says; it has to end well."""
    done = subprocess.run(
        [*COORDINATOR, *arguments], env=live.environment, cwd=live.home, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{arguments}: {done.stdout}\n{done.stderr}"
    return done.stdout


def performed(kept: Stored, after: str, seconds: float) -> datetime:
    until(lambda: kept.performed_after(after), seconds)
    moment = kept.performed_after(after)
    assert moment
    return moment


def test_it_is_brought_back_while_live(instance: Instance, stored: Stored) -> None:  # noqa: F811
    until(lambda: stored.answers() and stored.runs(), 120)
    performed(stored, instance.venue.now(), 60)
    file: Path = instance.home / "a.dump"
    began = instance.venue.now()
    saved = stored.kept()
    print(command(instance, "backup", str(file)))
    time.sleep(30)  # ten cycles
    assert list(stored.missed_since(began)) == [], "nothing is MISSED while it is saved"
    asked = instance.venue.now()
    print(command(instance, "restore", str(file), "--yes"))
    back = instance.venue.now()
    first = performed(stored, back, BACK_SECONDS)
    print(f"asked at {asked}, restored at {back}, performed again at {first.isoformat()}")
    time.sleep(20)
    missed = stored.missed_since(began)
    assert missed and all("the restore of a.dump at" in row.reason for row in missed), [row.reason for row in missed]
    assert max(row.performed_at for row in missed) < first
    assert stored.holes_since(began) == []
    assert stored.twice() == []
    now = stored.kept()
    for table in ("cycles", "forecasts", "inputs"):
        changed = {key for key, row in saved[table].items() if now[table].get(key) != row}
        assert not changed, f"{table}: {changed} are not as they were saved"
    print(instance.audit())
    print(command(instance, "audit", "--resettle"))
    until(lambda: stored.runs(), BACK_SECONDS)  # one at work and one that waits, as before
