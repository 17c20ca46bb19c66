"""`coordinator audit` as it is typed, and the same check in Dagster."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from coordinator_dagster.audit.queries import ASSETS, read_queries
from coordinator_dagster.code_location import build_definitions
from tests.audit.conftest import Clean

COMMAND = [sys.executable, "-c", "from coordinator_dagster.cli import main; main()", "audit"]
CHECKS = len(read_queries())


def run(clean: Clean, *arguments: str, columns: int = 400) -> subprocess.CompletedProcess[str]:
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "PYTHONPATH") if name in os.environ}
    done = subprocess.run(
        [*COMMAND, *arguments],
        env=environment | clean.settings | {"COLUMNS": str(columns)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "Traceback" not in done.stderr + done.stdout, done.stderr
    return done


@contextmanager
def open_gaps(clean: Clean, count: int) -> Iterator[None]:
    """As many gaps that nobody has closed; they are gone again afterwards."""
    database = clean.runtime.store.database
    with database.transaction() as connection:
        connection.exec_driver_sql(
            "insert into market_gaps (provider, asset, kind, granularity, gap_start, gap_end, state, reason) "
            "select 'nobody', 'BTC', 'candle', '1m', start + n * interval '1 hour', start + n * interval '2 hours', "
            f"'open', 'late [b]\u001b[31m' from competition, generate_series(1, {count}) n"
        )
    try:
        yield
    finally:
        with database.transaction() as connection:
            connection.exec_driver_sql("delete from market_gaps where provider = 'nobody'")


def test_nothing_is_found_where_all_is_well(clean: Clean) -> None:
    done = run(clean)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert f"{CHECKS}/{CHECKS}" in done.stdout, "no progress"
    assert f"{CHECKS} checks, no violation (over 64 cycles, " in done.stdout


def test_a_violation_is_shown_with_its_rows_and_fails_the_command(clean: Clean) -> None:
    with open_gaps(clean, 23):
        done = run(clean)
    assert (done.returncode, done.stderr) == (1, "")
    assert "rule 11, every state ends: a gap is still open a day after it ended (11_gaps_open)" in done.stdout
    assert done.stdout.count("nobody") == 20
    assert "late [b]\\x1b[31m" in done.stdout, "what others wrote is no markup and obeyed by no terminal"
    assert "… and 3 more rows" in done.stdout
    assert f"{CHECKS} checks, 1 violated (over " in done.stdout


def test_on_a_narrow_screen_each_value_has_its_line(clean: Clean) -> None:
    with open_gaps(clean, 2):
        done = run(clean, columns=80)
    assert done.returncode == 1 and "provider" in done.stdout
    assert [line.split() for line in done.stdout.splitlines()].count(["provider", "nobody"]) == 2


def test_json_is_for_machines(clean: Clean) -> None:
    well = run(clean, "--json")
    assert well.returncode == 0
    assert json.loads(well.stdout)["violations"] == []
    with open_gaps(clean, 1):
        done = run(clean, "--json")
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert (document["checks"], document["looked_at"]["cycles"]) == (CHECKS, 64)
    (found,) = document["violations"]
    assert (found["check"], found["rule"], found["asset"], found["count"]) == ("11_gaps_open", 11, "market_records", 1)
    assert found["rows"][0]["provider"] == "nobody"
    assert found["rows"][0]["gap_start"].endswith(":00Z")


def test_a_range_can_be_chosen(clean: Clean) -> None:
    start = clean.runtime.competition.start
    with open_gaps(clean, 1):
        done = run(clean, "--to", start.isoformat(), "--from", "2020-01-01")
    assert done.returncode == 0
    assert "no violation (over 0 cycles, 0 forecasts, 0 scores)" in done.stdout


def test_a_range_that_is_none_is_refused(clean: Clean) -> None:
    done = run(clean, "--from", "2023-03-25", "--to", "2023-03-24")
    assert done.returncode == 1
    assert done.stderr == "error: --from=2023-03-25 is not before --to=2023-03-24; swap them\n"


def checked_in_dagster(clean: Clean) -> dict[str, dg.AssetCheckEvaluation]:
    """Each asset's evaluation of the check, by the job."""
    competition = clean.runtime.competition
    with dg.DagsterInstance.ephemeral() as instance:
        job = build_definitions(competition).resolve_job_def(f"{competition.schema}_checks_job")
        done = job.execute_in_process(instance=instance)
    found = [one for one in done.get_asset_check_evaluations() if one.check_name == "audit"]
    return {one.asset_key.path[-1]: one for one in found}


def test_the_check_is_on_every_asset_of_the_loop(clean: Clean) -> None:
    found = checked_in_dagster(clean)
    assert set(found) == set(ASSETS)
    assert all(one.passed for one in found.values())
    windowed = {one.key.path[-1] for one in build_definitions(clean.runtime.competition).assets}  # type: ignore[union-attr]
    assert set(ASSETS) == windowed - {"report_schema", "emission_checkpoints", "tape_archive"}


def test_the_check_fails_on_the_asset_whose_rows_are_wrong(clean: Clean) -> None:
    with open_gaps(clean, 2):
        found = checked_in_dagster(clean)
    assert [name for name, one in found.items() if not one.passed] == ["market_records"]
    shown = found["market_records"].metadata["11_gaps_open"].value
    assert "a gap is still open a day after it ended" in shown
    assert shown.count("| nobody |") == 2
