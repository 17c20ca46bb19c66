"""A backup is whole or not there; brought back, everything is as it was."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import psutil
import pytest
from alembic import command

from coordinator_dagster.audit import audit
from coordinator_dagster.backups import programs
from coordinator_dagster.backups.backup import _check
from coordinator_dagster.backups.dump import read_dump
from coordinator_dagster.backups.restore import plan, restore
from coordinator_dagster.competition import Competition
from coordinator_dagster.errors import UserError
from coordinator_dagster.runtime import open_runtime
from coordinator_dagster.store import migrating
from coordinator_dagster.store.backups import BackupTable
from tests.backups.conftest import Run, content, production

COORDINATOR = "from coordinator_dagster.cli import main; main()"
# What brings a backup back dies where everything is done but the commit.
DIES = f"""
import os
from coordinator_dagster.store import backups
backups._note = lambda *_: os.kill(os.getpid(), 9)
{COORDINATOR}"""


def spoil(made: Competition) -> None:
    with open_runtime(made) as runtime, runtime.store.database.transaction() as connection:
        for sql in ("delete from leaderboards", "drop table market_gaps cascade", "create table stray (a int)"):
            connection.exec_driver_sql(sql)


def test_it_comes_back_as_it_was(replayed: Competition, tmp_path: Path, run: Run) -> None:
    file = tmp_path / "a.dump"
    code, said = run("backup", file)
    assert (code, "read back and found whole" in said) == (0, True), said
    before = content(replayed)
    spoil(replayed)
    code, said = run("restore", file)
    assert (code, "nothing was changed; give --yes" in said) == (1, True), said
    with open_runtime(replayed) as runtime:
        assert runtime.store.database.has("stray"), "without --yes nothing is done"
    code, said = run("restore", file, "--yes")
    assert code == 0, said
    assert content(replayed) == before
    with open_runtime(replayed) as runtime:
        database = runtime.store.database
        assert audit(database, runtime.clock.now()) == []
        rows = database.read("select taken_at, release, finished_at, restored_at from backups")
        assert len(rows) == 1 and rows[0].restored_at
        assert database.read("select count(*) as n from leases where expires_at > now()")[0].n == 0


def test_a_pack_that_has_changed_since_is_said_when_it_is_back(
    replayed: Competition, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, before = tmp_path / "a.dump", content(replayed)
    assert run("backup", file)[0] == 0
    spoil(replayed)
    with monkeypatch.context() as changed:
        changed.setenv("PACK", "tournament")
        code, said = run("restore", file, "--yes")
    assert (code, "is restored to" in said, "coordinator order configs" in said) == (1, True, True), said
    assert content(replayed) == before


def test_where_nothing_was_it_comes_back_too(begun: Competition, tmp_path: Path, run: Run) -> None:
    """As on a new machine; written with the programs of the wheel, for a server that is older than they are."""
    file, path = tmp_path / "a.dump", os.environ["PATH"]
    os.environ["PATH"] = str(tmp_path)
    code, said = run("backup", file)
    os.environ["PATH"] = path
    assert code == 0, said
    before = content(begun)
    with open_runtime(begun) as runtime, runtime.store.database.transaction() as connection:
        connection.exec_driver_sql(f"drop schema {begun.schema} cascade")
        connection.exec_driver_sql(f"create schema {begun.schema}_elsewhere")  # is left alone
        connection.exec_driver_sql(f"drop schema {begun.schema}_elsewhere")
    code, said = run("restore", file, "--yes")
    assert (code, "has no tables yet: nothing is lost" in said) == (0, True), said
    assert content(begun) == before


def test_it_says_which_frozen_days_would_go(begun: Competition, tmp_path: Path, run: Run) -> None:
    """They go into payments, and whether they are old says nothing of when they were frozen."""
    file = tmp_path / "a.dump"

    def freeze(day: int) -> None:
        with open_runtime(begun) as runtime, runtime.store.database.transaction() as connection:
            connection.exec_driver_sql(
                "insert into checkpoints (checkpoint_kind, interval_seconds) values ('any', 1) on conflict do nothing"
            )
            connection.exec_driver_sql(
                "insert into emission_checkpoints (checkpoint_id, emitted_at, payload_jsonb) "
                f"select id, '2026-01-{day:02}T00:00Z', '{{\"a\": \"\\t\"}}' from checkpoints limit 1"
            )

    freeze(2)
    run("backup", file)
    freeze(3)
    code, said = run("restore", file)
    assert (code, "of the days that ended at 2026-01-03 00:00 UTC" in said) == (1, True), said


def test_a_file_is_replaced_only_when_that_is_said(begun: Competition, tmp_path: Path, run: Run) -> None:
    file = tmp_path / "a.dump"
    file.write_text("kept")
    code, said = run("backup", file)
    assert (code, "give --force" in said, file.read_text()) == (1, True, "kept"), said
    assert run("backup", file, "--force")[0] == 0
    assert file.stat().st_size > 1000
    with pytest.raises(UserError, match="lacks the tables another; it was not kept"):
        _check(read_dump(file), {("models", True), ("another", False)})
    for place, why in ((tmp_path / "no" / "a.dump", "there is no folder"), (tmp_path, "it is a folder")):
        code, said = run("backup", place)
        assert (code, why in said) == (1, True), said
    assert [one.name for one in tmp_path.glob("*.part")] == []


def test_what_is_no_whole_backup_is_refused(begun: Competition, tmp_path: Path, run: Run) -> None:
    file, before = tmp_path / "a.dump", content(begun)
    assert run("backup", file)[0] == 0
    whole = file.read_bytes()
    other = tmp_path / "other.dump"
    url = begun.settings.database_url
    assert url
    subprocess.run(["pg_dump", "-Fc", "-n", "pg_catalog", "-f", other, url.get_secret_value()], check=True)
    cases = {
        "cut off": whole[: len(whole) // 2],
        "cut off at its end": whole[:-100],
        "text": b"select 1;\n",
        "empty": b"",
        "another's": other.read_bytes(),
    }
    for name, found in cases.items():
        file.write_bytes(found)
        code, said = run("restore", file, "--yes")
        assert code == 1, f"{name}: {said}"
        assert str(file) in said and "Traceback" not in said, f"{name}: {said}"
    code, said = run("restore", tmp_path / "none.dump", "--yes")
    assert (code, "there is no such file" in said) == (1, True), said
    assert content(begun) == before


def test_what_does_not_fit_is_said_at_once(
    begun: Competition, competition: Callable[..., Competition], tmp_path: Path, run: Run
) -> None:
    file = tmp_path / "a.dump"
    with open_runtime(begun) as runtime, runtime.store.database.transaction() as connection:
        connection.exec_driver_sql("update alembic_version set version_num = '9999'")
    assert run("backup", file)[0] == 0
    competition("b", mode="live", competition_start="2026-01-06T00:00Z", competition_end="2026-01-07T00:00Z")
    code, said = run("restore", file, "--yes")
    assert code == 1
    for fault in (
        "it is of the competition",
        "revision 9999, which a newer release made",
        "MODE=live",
        "was begun with",
    ):
        assert fault in said, said


def test_an_older_release_s_backup_is_brought_up_to_date(begun: Competition, tmp_path: Path, run: Run) -> None:
    """Of a revision that had no place for what a backup says of itself."""
    file, url = tmp_path / "old.dump", begun.settings.database_url
    assert url
    with open_runtime(begun) as runtime:
        with runtime.store.database.transaction() as connection:
            connection.exec_driver_sql(f"drop schema {begun.schema} cascade")
            connection.exec_driver_sql(f"create schema {begun.schema}")
            config = migrating._config()
            config.attributes.update(connection=connection, schema=begun.schema)
            command.upgrade(config, "0008")
            connection.exec_driver_sql(f"set search_path = {begun.schema}")
            connection.exec_driver_sql(
                "insert into competition (mode, start, \"window\") values ('replay', '2026-01-05 00:00Z', 'hour')"
            )
            connection.exec_driver_sql(
                "insert into models (id, name, deployment_identifier, player_id, player_name) "
                "values ('ada', 'Ada', '1', 'p', 'P')"
            )
        subprocess.run(["pg_dump", "-Fc", "-n", begun.schema, "-f", file, url.get_secret_value()], check=True)
        with runtime.store.database.transaction() as connection:
            connection.exec_driver_sql(f"drop schema {begun.schema} cascade")
    code, said = run("restore", file, "--yes")
    assert (code, "by an older release" in said, "revision 0008" in said) == (0, True, True), said
    with open_runtime(begun) as runtime:
        database = runtime.store.database
        assert database.revision() == migrating.newest_revision() > "0008"
        assert [row.name for row in database.read("select name from models")] == ["Ada"]
        assert BackupTable(database).last_restored()


def test_a_run_that_comes_at_the_last_moment_is_told_to_end(begun: Competition, tmp_path: Path, run: Run) -> None:
    """Its memory would meet other tables."""
    file, asked = tmp_path / "a.dump", list[str]()
    assert run("backup", file)[0] == 0
    with open_runtime(begun) as runtime:
        leases = runtime.store.leases

        def told(text: str) -> None:
            if text.startswith("replacing") and not asked:
                assert leases.take("run late", "late")

        def statuses(runs: Iterable[str]) -> Mapping[str, str]:
            asked.extend(runs)
            assert leases.renew("run late", "late") is None, "it was told to end"
            return dict.fromkeys(runs, "FAILURE")

        restore(begun, plan(begun, file).dump, statuses, told)
        assert asked == ["late"]
        assert leases.read("run late") is None


def test_a_view_of_others_keeps_it_from_going(begun: Competition, tmp_path: Path, run: Run) -> None:
    file, view = tmp_path / "a.dump", f"{begun.schema}_view"
    assert run("backup", file)[0] == 0
    with open_runtime(begun) as runtime:
        with runtime.store.database.transaction() as connection:
            connection.exec_driver_sql(f"create view public.{view} as select * from {begun.schema}.models")
        code, said = run("restore", file, "--yes")
        with runtime.store.database.transaction() as connection:
            connection.exec_driver_sql(f"drop view public.{view}")
    assert (code, f"public.{view} read it" in said) == (1, True), said


def test_no_program_is_new_enough(
    begun: Competition, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "pg_dump"
    old.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.1'\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(programs, "client_folders", list)
    code, said = run("backup", tmp_path / "a.dump")
    assert (code, f"{old} is of 9" in said, "client programs of" in said) == (1, True, True), said


@pytest.mark.parametrize(
    "url", ["postgresql+psycopg2://ada:secret@db:5432/x", "postgresql://ada@db:5432/x?password=secret"]
)
def test_the_password_is_no_argument(url: str) -> None:
    arguments, environment = programs.connecting(url)
    assert arguments[0] == "--dbname=postgresql://ada@db:5432/x"
    assert "secret" not in " ".join(arguments) and environment["PGPASSWORD"] == "secret"


def test_a_backup_that_is_killed_leaves_no_file(begun: Competition, tmp_path: Path, run: Run) -> None:
    file, part = tmp_path / "a.dump", tmp_path / "a.dump.part"
    slow = tmp_path / "bin" / "pg_dump"  # writes half a file, and goes on for ever
    slow.parent.mkdir()
    slow.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo "pg_dump (PostgreSQL) 99.1" && exit\n'
        f"echo half > {part}; exec sleep 60\n"
    )
    slow.chmod(0o755)
    environment = os.environ | {"PATH": f"{slow.parent}:{os.environ['PATH']}"}
    process = psutil.Popen([sys.executable, "-c", COORDINATOR, "backup", file], cwd=tmp_path, env=environment)
    end = time.monotonic() + 20
    while not (part.exists() and part.read_text()):
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.05)
    left = process.children()
    code, said = run("backup", file)
    assert (code, "another backup is writing it" in said, part.exists()) == (1, True, True), said
    process.kill()
    process.wait()
    for one in left:
        one.kill()
    assert not file.exists()
    assert run("backup", file)[0] == 0, "what is left of it is in nobody's way"
    assert not part.exists()


@production
def test_a_restore_that_is_killed_loses_nothing(replayed: Competition, tmp_path: Path, run: Run) -> None:
    file = tmp_path / "a.dump"
    assert run("backup", file)[0] == 0
    before = content(replayed)
    died = subprocess.run([sys.executable, "-c", DIES, "restore", file, "--yes"], cwd=tmp_path)
    assert died.returncode == -signal.SIGKILL
    assert content(replayed) == before
    code, said = run("restore", file, "--yes")
    assert code == 0, said
    assert content(replayed) == before
