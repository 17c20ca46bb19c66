"""The process that is killed while it archives and lets a month go: it stands still where it is told to."""

import os
from collections.abc import Callable
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from coordinator_dagster.competition import read_competition
from coordinator_dagster.runtime import open_runtime
from coordinator_dagster.store.archive import ArchiveTable
from coordinator_dagster.store.expiry import ExpiryTable

# Each point: the call that is about to be made, of what class, and which of its calls it is.
POINTS: dict[str, tuple[type, str, int]] = {
    "a file is written beside its place": (Path, "replace", 3),
    "a file stands there, and is not noted": (ArchiveTable, "note", 3),
    "all is archived": (ExpiryTable, "leave", 1),
    "the month is taken off the tape, and that is not noted": (ExpiryTable, "_note", 1),
    "it has left, and its files are not gone": (ExpiryTable, "free", 2),
}


def expire_until(environment: dict[str, str], home: Path, point: str, told: Connection) -> None:
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    owner, name, count = POINTS[point]
    setattr(owner, name, _standing_still(getattr(owner, name), count, told))
    with open_runtime(read_competition(home)) as runtime:
        runtime.expire()


def _standing_still(plain: Callable[..., Any], count: int, told: Connection) -> Callable[..., Any]:
    calls = []

    def call(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == count:
            told.send("here")
            if test := parent_process():
                test.join()
            os._exit(1)
        return plain(*args)

    return call
