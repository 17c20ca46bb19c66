"""Take a backup: one moment of a competition's schema, in a file that is whole or is not there."""

import os
import subprocess
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from coordinator_dagster.backups.dump import Dump, read_dump
from coordinator_dagster.backups.programs import connecting, pg_dump
from coordinator_dagster.clock import open_clock
from coordinator_dagster.competition import Competition
from coordinator_dagster.errors import UserError
from coordinator_dagster.file_lock import locked_file
from coordinator_dagster.release import version
from coordinator_dagster.store import backups
from coordinator_dagster.store.backups import BackupTable
from coordinator_dagster.store.database import Database
from coordinator_dagster.store.store import database_url

NICE = 10  # the cycles of the same machine go first
LOOK_SECONDS = 0.2
TABLE_WAIT = "60s"  # so long for a table that somebody holds
COMPRESSION = 1  # a quarter of the time of gzip's usual 6, a tenth more bytes


@dataclass(frozen=True)
class Done:
    """What was saved, in a file of `size` bytes."""

    dump: Dump
    size: int
    seconds: float


def back_up(competition: Competition, file: Path, force: bool, progress: Callable[[int], None]) -> Done:
    """Save the competition's schema as it is at this moment, whatever is at work; its tables are only read.

    It is written beside its place, checked, and then put there. `progress` is told the bytes so far. UserError, and
    no file, where something is in the way.
    """
    began = time.monotonic()
    _check_place(file, force)
    with closing(Database(database_url(competition), competition.schema)) as database:
        program = pg_dump(database.server_version())
        if not database.has("alembic_version"):
            raise UserError(
                f"the schema {competition.schema} has no tables: there is nothing to save; COMPETITION names another?"
            )
        with _part_of(file) as part:
            number = _note(competition, database)
            with backups.snapshot(database) as (moment, tables):
                _dump(program, database, moment, part, progress)
            dump = read_dump(part)
            _check(dump, tables)
            size = part.stat().st_size
            part.replace(file)
            _onto_disk(file.parent)
        if number is not None:
            BackupTable(database).finish(number, size)
    return Done(dump, size, time.monotonic() - began)


def _check_place(file: Path, force: bool) -> None:
    if not file.parent.is_dir():
        raise UserError(f"{file}: there is no folder {file.parent}; make it, or name another file")
    if file.is_dir():
        raise UserError(f"{file}: it is a folder; name a file in it, such as {file / 'competition.dump'}")
    if file.exists() and not force:
        raise UserError(f"{file}: it is there already; name another file, or give --force to have it replaced")
    if not os.access(file.parent, os.W_OK):
        raise UserError(f"{file}: nothing can be written to {file.parent}; mend its rights, or name another file")


@contextmanager
def _part_of(file: Path) -> Iterator[Path]:
    """What is written until it is whole, by one backup at a time; one that was killed may have left it."""
    part = file.with_name(f"{file.name}.part")
    with locked_file(part, f"{file}: another backup is writing it; wait for its end, or name another file"):
        try:
            yield part
        finally:
            part.unlink(missing_ok=True)


def _note(competition: Competition, database: Database) -> int | None:
    """In the tables, so that the backup says of itself what it is; those of an older release have no place for it."""
    if not database.has("backups"):
        return None
    live = competition.settings.mode == "live"
    now = open_clock(competition.settings.clock_url).now() if live else datetime.now(UTC)
    return BackupTable(database).begin(now, version())


def _dump(program: Path, database: Database, moment: str, part: Path, progress: Callable[[int], None]) -> None:
    arguments, environment = connecting(database.url)
    command = [str(program), "--format=custom", f"--compress={COMPRESSION}", f"--schema={database.schema}"]
    command += [f"--snapshot={moment}", f"--lock-wait-timeout={TABLE_WAIT}", f"--file={part}", *arguments]
    with subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, text=True, preexec_fn=lambda: os.nice(NICE) and None
    ) as process:
        try:
            while process.poll() is None:
                progress(part.stat().st_size if part.exists() else 0)
                time.sleep(LOOK_SECONDS)
        finally:
            process.kill()  # if it was not it that ended; it leaves nothing in the database
        said = process.stderr.read() if process.stderr else ""
    if process.returncode:
        raise UserError(f"{program} failed: {said.strip()}; nothing was written to {part.with_suffix('')}")
    with part.open("rb") as written:
        os.fsync(written.fileno())


def _check(dump: Dump, tables: Collection[tuple[str, bool]]) -> None:
    """Every table is in it, and can be read to its end."""
    lacking = {name for name, _ in tables} - dump.tables
    lacking |= {name for name, has_rows in tables if has_rows} - dump.filled
    if lacking:
        raise UserError(f"the backup lacks the tables {', '.join(sorted(lacking))}; it was not kept, take it again")
    dump.read_through()


def _onto_disk(folder: Path) -> None:
    """So that the file's name is there after a power failure, too."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
