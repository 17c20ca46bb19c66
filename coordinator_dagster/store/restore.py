"""Months that have left a live competition's tape, out of its archive onto the tape of its replay."""

import hashlib
from pathlib import Path

from coordinator_dagster.errors import UserErrors
from coordinator_dagster.feeds.archive_files import Archived, DayFile, read_records
from coordinator_dagster.store.database import Database
from coordinator_dagster.store.tape import COLUMNS, KEY, record_row, series_key
from slots.market import Series


def restore(database: Database, live: str, folder: Path) -> None:
    """Put back what has left; again, it adds nothing. UserErrors, and nothing put back, where a file is not right.

    `folder` is where the live competition's files are, as they were noted in its schema.
    """
    lacking = [one for one in _left(database, live) if not _is_there(database, one)]
    faults = [
        f"{folder / one.file.path}: it is not what was archived, and its records have left the tape of {live}; "
        "restore it from a copy, or set TAPE_ARCHIVE_DIR to where the archive is"
        for one in lacking
        if not _is_right(folder, one)
    ]
    if faults:
        raise UserErrors(faults)
    for one in lacking:
        database.ensure_months("market_records", one.file.start, one.file.start)
        with database.transaction() as connection:
            records = read_records(folder, one.file, one.file.start, one.file.end)
            database.copy_new(connection, "market_records", COLUMNS, map(record_row, records))


def _left(database: Database, live: str) -> list[Archived]:
    rows = database.read(
        "select provider, asset, kind, granularity, day, row_count, bytes, sha256, complete "
        f"from {live}.tape_archives, {live}.tape_expired where day < through order by day, 1, 2, 3, 4"
    )
    return [Archived(DayFile(Series(*row[:4]), row.day), *row[5:]) for row in rows]


def _is_there(database: Database, archived: Archived) -> bool:
    """Whether a take-over before this one has put it back."""
    file = archived.file
    found = database.read(
        f"select count(*) as n from market_records where {KEY} and ts_event >= :start and ts_event < :end",
        **series_key(file.series),
        start=file.start,
        end=file.end,
    )
    return bool(found[0].n >= archived.rows)


def _is_right(folder: Path, archived: Archived) -> bool:
    try:
        with (folder / archived.file.path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == archived.sha256
    except OSError:
        return False
