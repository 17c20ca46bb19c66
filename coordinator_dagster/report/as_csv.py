"""Rows as CSV, for a spreadsheet that may act on what it reads."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fastapi import Request, Response

from coordinator_dagster.report.rendered import render, respond

MEDIA_TYPE = "text/csv; charset=utf-8"
CSV: dict[str, Any] = {"description": "CSV with a header", "content": {"text/csv": {"schema": {"type": "string"}}}}
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for the beginning of one


def csv_of(
    request: Request,
    name: str,
    columns: Sequence[str],
    rows: Iterable[Mapping[str, Any]],
    headers: Mapping[str, str] | None = None,
) -> Response:
    """These columns of the rows, as a file of that name; a missing value is an empty cell."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\r\n")
    writer.writerow(map(_cell, columns))
    writer.writerows([_cell(row.get(column)) for column in columns] for row in rows)
    about = {"Content-Disposition": f'attachment; filename="{name}"', **(headers or {})}
    return respond(request, render(written.getvalue().encode(), MEDIA_TYPE), about)


def _cell(value: Any) -> Any:
    """Participants choose their names: none of them is a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
