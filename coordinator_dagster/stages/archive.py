"""The tape into Parquet, a file for each series and UTC day, before it may leave the database."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from coordinator_dagster.competition import Competition
from coordinator_dagster.errors import UserError
from coordinator_dagster.feeds.archive_files import (
    DAY,
    MICROSECOND,
    SCHEMA,
    THROUGH,
    TIMES,
    Archived,
    BadFile,
    DayFile,
    midnight,
    row_count,
)
from coordinator_dagster.stages.facts import StageFailed
from slots.market import Series
from slots.tape import EPOCH, boundary

if TYPE_CHECKING:
    from coordinator_dagster.store.store import Store

CSV_BLOCK = 4 * 1024 * 1024  # bytes parsed at once: some 30,000 records, which become a row group
Through = Mapping[Series, datetime | None]


@dataclass
class ArchiveReport:
    """Files written and kept, the records and bytes of those written, and the days that have a new file."""

    written: int = 0
    kept: int = 0
    rows: int = 0
    bytes: int = 0
    days: list[date] = field(default_factory=list)

    def __iadd__(self, other: ArchiveReport) -> Self:
        self.written, self.kept = self.written + other.written, self.kept + other.kept
        self.rows, self.bytes, self.days = self.rows + other.rows, self.bytes + other.bytes, self.days + other.days
        return self


def archive_folder(competition: Competition) -> Path:
    """Where the competition's files are."""
    return competition.settings.tape_archive_dir / competition.schema


def archive(
    competition: Competition, store: Store, days: Sequence[date], progress: Callable[[int], None] = lambda done: None
) -> ArchiveReport:
    """Bring the files of these days up to date with the tape; `progress` is told of each day.

    A file is written anew when the tape has more records by now, or when it is not what was written. Once its day has
    left the tape it stays as it is. Raises StageFailed after all is done that can be; UserError where nothing can be
    written.
    """
    folder, report, faults = archive_folder(competition), ArchiveReport(), list[str]()
    left = store.expiry.through() or EPOCH
    for day in sorted(set(days)):
        through = {one: store.tape.complete_through([one]) for one in store.tape.series()}
        counts, noted = store.archive.counts(day, day), store.archive.noted(day, day)
        gone = midnight(day) < left  # what comes back of it is not kept
        for file in sorted(noted if gone else {*counts, *noted}):
            try:
                if _stands(folder, file, noted.get(file), counts.get(file, 0), through, gone):
                    report.kept += 1
                    continue
                written = _write(store, folder, file, through)
            except BadFile as fault:
                faults.append(str(fault))
                continue
            report.written, report.rows = report.written + 1, report.rows + written.rows
            report.bytes += written.bytes
            if day not in report.days:
                report.days.append(day)
        progress(1)
    if faults:
        raise StageFailed("the tape's archive", faults)
    return report


def is_complete(competition: Competition, day: date, through: Through) -> bool:
    """Whether every series of the contest is complete through the day's end."""
    complete = [one for one, at in through.items() if at and at >= midnight(day) + DAY]
    known = {(one.asset, one.kind, one.granularity) for one in complete}
    return all((one.asset, one.kind, one.granularity) in known for one in competition.pack.series)


def _stands(folder: Path, file: DayFile, archived: Archived | None, rows: int, through: Through, gone: bool) -> bool:
    """Whether the file is what the tape has; BadFile where it must not be written anew, and is not right either."""
    path = folder / file.path
    intact = archived is not None and _is_intact(path, archived)
    if gone:
        if not intact:
            raise BadFile(path, "it is not what was archived, and its records have left the tape by age")
        return True
    if (held := archived.rows if archived else _held(path)) > rows:
        raise BadFile(path, f"it has {held} records, and the tape only {rows}: it is of another database")
    return archived is not None and intact and held == rows and archived.complete >= _complete(file, through)


def _is_intact(path: Path, archived: Archived) -> bool:
    try:
        return path.stat().st_size == archived.bytes and _sha256(path) == archived.sha256
    except OSError:
        return False


def _held(path: Path) -> int:
    """How many records a file has that nobody noted: the process died before that, or it is of another database."""
    try:
        return row_count(path) if path.exists() else 0
    except BadFile:
        return 0


def _complete(file: DayFile, through: Through) -> bool:
    at = through.get(file.series)
    return at is not None and at >= file.end


def _write(store: Store, folder: Path, file: DayFile, through: Through) -> Archived:
    """Write the file beside its place, move it there once it is on the disk for good, then note it."""
    path = folder / file.path
    temporary = path.with_name(f".{path.name}.tmp")  # one that a killed process left is overwritten
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as sink:
            rows = _write_parquet(store, file, sink, path.parent, _known_through(file, through))
            sink.flush()
            os.fsync(sink.fileno())
        written = Archived(file, rows, temporary.stat().st_size, _sha256(temporary), _complete(file, through))
        temporary.replace(path)
        for directory in path.parents[: len(file.path.parents)]:
            _sync(directory)
    except OSError as error:
        raise UserError(f"TAPE_ARCHIVE_DIR: {path} cannot be written ({error}); mend the folder") from error
    store.archive.note(written)
    return written


def _write_parquet(store: Store, file: DayFile, sink: object, folder: Path, through: datetime | None) -> int:
    metadata = {THROUGH: through.isoformat()} if through else {}
    writer = pq.ParquetWriter(
        sink,
        SCHEMA.with_metadata(metadata),
        compression="zstd",
        use_dictionary=[name for name in SCHEMA.names if name not in TIMES],
        column_encoding=dict.fromkeys(TIMES, "DELTA_BINARY_PACKED"),
        write_page_checksum=True,
    )
    rows = 0
    with writer:
        for batch in _batches(store, file, folder):
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows


def _batches(store: Store, file: DayFile, folder: Path) -> Iterator[pa.RecordBatch]:
    """The day's records, by way of a file without a name: whatever the day's size, memory holds a block of it."""
    with tempfile.TemporaryFile(dir=folder) as spool:
        store.archive.copy_day(file, spool)
        spool.seek(0)
        yield from csv.open_csv(
            spool,
            read_options=csv.ReadOptions(block_size=CSV_BLOCK),
            convert_options=csv.ConvertOptions(column_types=SCHEMA, include_columns=SCHEMA.names),
        )


def _known_through(file: DayFile, through: Through) -> datetime | None:
    """Through when everything of the series is known, as far as the day's records say."""
    at, step = through.get(file.series), file.series.step
    at = min(at, file.end + step - MICROSECOND) if at else None
    return boundary(at, step) if at and step else at


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(directory: Path) -> None:
    """The names in it are on the disk for good."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
