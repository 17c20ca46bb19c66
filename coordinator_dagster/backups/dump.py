"""A backup's file: what it says of itself, and the script that makes its tables."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from coordinator_dagster.backups.programs import pg_restore
from coordinator_dagster.backups.script import Piece, pieces, rows_of
from coordinator_dagster.errors import UserError, first_line

ENTRY = re.compile(r"\d+; \d+ \d+ (TABLE DATA|TABLE ATTACH|TABLE) (\S+) (\S+) ")
CREATED = re.compile(r";\s+Archive created at (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)")
SILENT = "pg_restore did not say why"
TELLING = ("alembic_version", "competition", "backups", "emission_checkpoints")


@dataclass(frozen=True)
class Dump:
    """What a backup is of. `taken_at` and `cycles_through` are of the competition's clock, where it had noted them."""

    file: Path
    schema: str
    tables: frozenset[str]
    filled: frozenset[str]  # those with rows of their own
    revision: str
    mode: str
    start: datetime
    window: str
    taken_at: datetime
    release: str
    cycles_through: datetime | None
    frozen: frozenset[datetime]  # the days whose emission is, by their end

    def read_through(self) -> None:
        """UserError where the file cannot be read to its end."""
        _said(self.file, "--file=/dev/null", str(self.file))

    @contextmanager
    def script(self) -> Iterator[Iterator[Piece]]:
        """What makes the schema anew. Owners and grants are left out: on another machine they are others."""
        with _running("--no-owner", "--no-privileges", "--file=-", str(self.file)) as stream:
            yield pieces(stream)


def read_dump(file: Path) -> Dump:
    """UserError where it is no backup of a competition, or not a whole one."""
    if not file.is_file():
        raise UserError(f"{file}: there is no such file; name a backup that `coordinator backup` has written")
    listed = _said(file, "--list", str(file))
    entries = [found.groups() for line in listed.splitlines() if (found := ENTRY.match(line))]
    tables = frozenset(name for kind, _, name in entries if kind == "TABLE")
    schemas = {schema for _, schema, _ in entries}
    if len(schemas) != 1 or not tables.issuperset(TELLING[:2]):
        raise UserError(
            f"{file}: it is no backup of a competition (it has {len(tables)} tables, of the schemas "
            f"{', '.join(sorted(schemas)) or 'none'}); name one that `coordinator backup` has written"
        )
    told = _told(file)
    fixed = told["competition"][0]
    noted = max(told.get("backups", []), key=lambda row: int(row["id"] or 0), default={})
    return Dump(
        file,
        schemas.pop(),
        tables,
        frozenset(name for kind, _, name in entries if kind == "TABLE DATA"),
        str(told["alembic_version"][0]["version_num"]),
        str(fixed["mode"]),
        _moment(str(fixed["start"])),
        str(fixed["window"]),
        _moment(noted["taken_at"]) if noted.get("taken_at") else _created(listed),
        str(noted.get("release") or "an older release"),
        _moment(noted["cycles_through"]) if noted.get("cycles_through") else None,
        frozenset(_moment(row["emitted_at"]) for row in told.get("emission_checkpoints", [])),
    )


def _told(file: Path) -> dict[str, list[dict[str, str]]]:
    """The rows of the tables that say what it is."""
    wanted = [f"--table={name}" for name in TELLING]
    with _running("--data-only", *wanted, "--file=-", str(file)) as stream:
        told = rows_of(stream)
    if not told["competition"] or not told["alembic_version"]:
        raise UserError(f"{file}: the competition in it had not begun: there is nothing to restore")
    return told


def _created(listed: str) -> datetime:
    """As pg_dump has noted it, in the time zone of its machine: of a backup that an older release took."""
    found = CREATED.search(listed)
    assert found, listed
    return datetime.fromisoformat(found[1]).astimezone(UTC)


def _moment(said: str) -> datetime:
    """pg_dump writes moments in the time zone of its connection, with its distance from UTC."""
    return datetime.fromisoformat(said).astimezone(UTC)


def _said(file: Path, *arguments: str) -> str:
    done = subprocess.run([pg_restore(), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"{file}: it is no whole backup: {first_line(done.stderr) or SILENT}; take another one")
    return done.stdout


@contextmanager
def _running(*arguments: str) -> Iterator[IO[bytes]]:
    """What pg_restore writes, while it does; UserError where it could not to its end."""
    program = pg_restore()
    with subprocess.Popen([program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout and process.stderr
        try:
            yield process.stdout
            left = process.stdout.read(1)
        finally:
            process.stdout.close()
            said = process.stderr.read().decode()
    if process.returncode or left:
        raise UserError(
            f"{arguments[-1]}: it cannot be read to its end: {first_line(said) or SILENT}; nothing was changed"
        )
