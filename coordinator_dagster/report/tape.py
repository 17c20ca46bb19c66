"""`/tape`: the archive's files of market data, for whoever wants to test a model on them."""

from datetime import date
from typing import Any

from fastapi import APIRouter
from fastapi.responses import FileResponse

from coordinator_dagster.feeds.archive_files import Archived, DayFile, exact_file
from coordinator_dagster.report.opened import Here, Opened
from coordinator_dagster.report.problems import Refused
from coordinator_dagster.stages.archive import archive_folder

router = APIRouter(prefix="/tape")


@router.get("")
def index(here: Here) -> list[dict[str, Any]]:
    """The files that are there, by day and series."""
    return [
        {
            "path": str(file.path),
            "rows": one.rows,
            "bytes": one.bytes,
            "sha256": one.sha256,
            "series": str(file.series),
            "day": file.day.isoformat(),
        }
        for file, one in _there(here, date.min, date.max).items()
    ]


@router.get("/{path:path}")
def parquet(path: str, here: Here) -> FileResponse:
    """One file of the index; 404 for every other path."""
    file = exact_file(path)  # what is opened is made of what the path says, never as it came
    one = _there(here, file.day, file.day).get(file) if file else None
    if file is None or one is None:
        raise Refused(404, "there is no such file; GET /tape lists those that are there")
    return FileResponse(
        archive_folder(here.competition) / file.path,
        media_type="application/vnd.apache.parquet",
        headers={"ETag": f'"{one.sha256}"'},
    )


def _there(here: Opened, first: date, last: date) -> dict[DayFile, Archived]:
    """What is noted as archived and on the disk as it was noted."""
    if not here.store.database.has("tape_archives"):
        return {}
    folder = archive_folder(here.competition)

    def size(file: DayFile) -> int | None:
        path = folder / file.path
        return path.stat().st_size if path.is_file() else None

    return {file: one for file, one in here.store.archive.noted(first, last).items() if size(file) == one.bytes}
