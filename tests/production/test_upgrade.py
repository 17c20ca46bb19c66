"""An upgrade across a migration, with the code replaced under a live competition: no cycle is MISSED."""

import importlib.util
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator_dagster.release import PACKAGES
from coordinator_dagster.store.embedded import start_embedded
from coordinator_dagster.store.migrating import newest_revision
from tests.cli.serving import until
from tests.conftest import PROJECT
from tests.kills.instance import SPEED, Instance, Venue
from tests.kills.stored import Stored

pytestmark = [pytest.mark.production, pytest.mark.venue, pytest.mark.timeout(900)]
START = "2023-03-23T12:38:00Z"
HOUR = "2023-03-23T13:00:00Z"
MINUTES_AFTERWARDS = 3
NEXT = f"{int(newest_revision()) + 1:04}"
MIGRATION = f'''
from alembic import op

revision = "{NEXT}"
down_revision = "{newest_revision()}"


def upgrade() -> None:
    for table in ("cycles", "forecasts", "market_records", "ground_truths"):
        op.get_bind().exec_driver_sql(f"alter table {{table}} add column upgraded boolean not null default true")
'''
RELEASE = "select value from dagster.run_tags where run_id = :run and key = 'coordinator/release'"

CLOSED = "select 1 from dagster.event_logs where run_id = :run and event like '%window 2023-03-23-12:00 is closed%'"


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """The packages as they are installed before the upgrade."""
    folder = tmp_path / "code"
    for package in PACKAGES:
        shutil.copytree(package, folder / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "dagster.yaml", folder)
    return folder


@pytest.fixture
def instance(code: Path, tape_dir: Path, tmp_path: Path) -> Iterator[Instance]:
    if not importlib.util.find_spec("stand_in_exchange"):
        pytest.skip("the stand-in is not importable")
    venue = Venue(tape_dir, tmp_path / "venue.log", START)
    home = tmp_path / "home"
    home.mkdir()
    made = Instance(home, venue, code)
    try:
        until(made.serves, 90)
        yield made
    finally:
        made.end()
        venue.end()
        print(made.log.read_text()[-5000:])


def test_an_upgrade_costs_no_cycle(instance: Instance, code: Path) -> None:
    stored = Stored(start_embedded(instance.home))
    until(stored.runs, 60)
    before = stored.runs()
    assert before
    began = instance.venue.now()
    until(lambda: stored.performed_after(began), 15)

    (code / "coordinator_dagster" / "store" / "migrations" / "versions" / f"{NEXT}_next.py").write_text(MIGRATION)
    instance.process.send_signal(signal.SIGUSR2)

    replaced = until(lambda: (runs := stored.runs()) and runs.waiting != before.waiting and runs, 90)
    after = stored.runs()
    assert after and after.working == before.working, "who works goes on"
    assert stored.rows("select version_num from alembic_version")[0][0] == NEXT
    assert stored.status(before.waiting) == "SUCCESS", "it made way"
    old, new = (stored.rows(RELEASE, run=run)[0][0] for run in (before.working, after.waiting))
    assert old != new

    taken = until(lambda: stored.lease() == (after.waiting, True), 300)
    until(lambda: instance.venue.now() > HOUR.replace("00:00Z", f"{MINUTES_AFTERWARDS:02}:00Z"), 120)
    until(lambda: stored.status(before.working) == "SUCCESS", 60)
    assert stored.rows(CLOSED, run=before.working), "who handed over closes the window"
    missed = stored.missed_since(began)
    counts = stored.rows("select status, count(*) from cycles where performed_at >= :t group by 1", t=began)
    print(
        f"\nupgrade: the run that waits was replaced within {replaced:.1f} s, took over {taken:.1f} s later; "
        f"cycles since: {dict(map(tuple, counts))} at {SPEED:g} times real time"
    )
    assert not missed, f"an upgrade cost cycles: {missed}"
    assert not stored.holes_since(began)
    assert stored.rows("select bool_and(upgraded) from forecasts where performed_at > :t", t=HOUR)[0][0] is True
    late = stored.rows(
        "select status, count(*) from forecasts where performed_at >= :t and status <> 'SUCCESS' group by 1", t=began
    )
    assert not late, f"an upgrade cost answers: {late}"
    print(instance.audit())
    stored.close()
