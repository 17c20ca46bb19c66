"""What pg_restore writes, piece by piece: statements, and the rows of each table."""

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from coordinator_dagster.errors import UserError

COPY = re.compile(r'COPY (?:"?[\w-]+"?\.)?"?(?P<table>\w+)"? \((?P<columns>.*)\) FROM stdin;\n')
SET = re.compile(r"SET (\w+) = .*;\n")
NULL = "\\N"
END = b"\\.\n"
READ = 1 << 16


@dataclass(frozen=True)
class Piece:
    """Statements; or one COPY with its `rows`, as lines. `sets`: the one parameter that it sets."""

    statement: str
    rows: Iterator[bytes] | None = None
    sets: str | None = None


class Reader:
    """Lines as the file that the driver reads."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines

    def read(self, _size: int = READ) -> bytes:
        """Some whole lines, of READ bytes or a little more; nothing at the end."""
        found, length = [], 0
        for line in self._lines:
            found.append(line)
            length += len(line)
            if length >= READ:
                break
        return b"".join(found)


def pieces(stream: IO[bytes]) -> Iterator[Piece]:
    """The script in order; the rows of a piece are read before the next one. UserError where it breaks off."""
    said: list[str] = []
    for line in stream:
        text = line.decode()
        if not said and (text.isspace() or text.startswith(("--", "\\"))):
            continue  # comments; and psql's own commands, which guard it against rows that look like such
        copies, sets = COPY.fullmatch(text), SET.fullmatch(text)
        if not copies and not sets:
            if not text.startswith("\\"):
                said.append(text)
            continue
        if said:
            yield Piece("".join(said))
            said = []
        if copies:
            rows = _rows(stream)
            yield Piece(text, rows)
            deque(rows, maxlen=0)
        else:
            yield Piece(text, sets=sets[1] if sets else None)
    if said:
        yield Piece("".join(said))


def _rows(stream: IO[bytes]) -> Iterator[bytes]:
    while (line := stream.readline()) != END:
        if not line:
            raise UserError("the backup breaks off within a table; take another file")
        yield line


def rows_of(stream: IO[bytes]) -> dict[str, list[dict[str, str]]]:
    """The rows of each table in a script, as text by column, without what is null; of plain values only."""
    found: dict[str, list[dict[str, str]]] = {}
    for piece in pieces(stream):
        if piece.rows is not None and (copies := COPY.fullmatch(piece.statement)):
            columns = [name.strip('"') for name in copies["columns"].split(", ")]
            rows = [line.decode().rstrip("\n").split("\t") for line in piece.rows]
            found[copies["table"]] = [
                {name: value for name, value in zip(columns, row, strict=True) if value != NULL} for row in rows
            ]
    return found
