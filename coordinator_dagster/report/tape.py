"""`/tape`: the archive's files of market data, for whoever wants to test a model on them."""

import time
from datetime import date
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from coordinator_dagster.feeds.archive_files import Archived, DayFile, exact_file
from coordinator_dagster.report.opened import Here, Opened
from coordinator_dagster.report.problems import Refused, answers
from coordinator_dagster.report.rendered import has_already, render_json, respond
from coordinator_dagster.stages.archive import archive_folder

LOOKED_AT_EVERY = 10  # seconds: each file is looked at on the disk
PARQUET = "application/vnd.apache.parquet"
FILE: dict[str, Any] = {"description": "Parquet", "content": {PARQUET: {"schema": {"type": "string"}}}}
router = APIRouter(prefix="/tape", tags=["tape"])


class TapeFile(BaseModel):
    path: str = Field(examples=["day=2026-01-05/asset=BTC/kind=candle/binance-1m.parquet"])
    rows: int = Field(examples=[1440])
    bytes: int = Field(examples=[48211])
    sha256: str = Field(examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"])
    series: str = Field(examples=["binance/BTC/candle/1m"])
    day: str = Field(examples=["2026-01-05"])


@router.get("", response_model=list[TapeFile], responses=answers(304))
def index(request: Request, here: Here) -> Response:
    """The files that are there, by day and series; what has come or gone is seen within some seconds."""
    slot = int(time.monotonic() / LOOKED_AT_EVERY)
    return respond(request, here.kept.get("tape", slot, lambda: render_json(_index(here))))


def _index(here: Opened) -> list[dict[str, Any]]:
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


@router.get("/{path:path}", response_class=Response, responses={200: FILE, **answers(304, 404, 422)})
def parquet(request: Request, path: str, here: Here) -> Response:
    """One file of the index; 404 for every other path."""
    file = exact_file(path)  # what is opened is made of what the path says, never as it came
    one = _there(here, file.day, file.day).get(file) if file else None
    if file is None or one is None:
        raise Refused(404, "there is no such file; GET /tape lists those that are there")
    etag = f'"{one.sha256}"'
    if has_already(request, etag):
        return Response(status_code=304, headers={"ETag": etag})
    return FileResponse(archive_folder(here.competition) / file.path, media_type=PARQUET, headers={"ETag": etag})


def _there(here: Opened, first: date, last: date) -> dict[DayFile, Archived]:
    """What is noted as archived and on the disk as it was noted."""
    if not here.store.database.has("tape_archives"):
        return {}
    folder = archive_folder(here.competition)

    def size(file: DayFile) -> int | None:
        path = folder / file.path
        return path.stat().st_size if path.is_file() else None

    return {file: one for file, one in here.store.archive.noted(first, last).items() if size(file) == one.bytes}
