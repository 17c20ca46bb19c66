"""A file that one process of this machine has at a time."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from coordinator_dagster.errors import UserError


@contextmanager
def locked_file(file: Path, otherwise: str) -> Iterator[None]:
    """Make the file and have it; UserError with the text `otherwise` where another process has it.

    It is free again when that process ends, however that is.
    """
    with file.open("ab") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(otherwise) from None
        yield
