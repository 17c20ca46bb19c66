"""What endpoints may be asked for: moments, models, and how much at once."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import Depends, Path, Query
from pydantic import AfterValidator, AwareDatetime

from coordinator_dagster.report.opened import Here
from coordinator_dagster.store.report.boards import newest

EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
MOST_ROWS = 5_000
LONGEST_ID = 200


def _plausible(moment: datetime) -> datetime:
    # By its naive value: near the years 1 and 9999 an offset overflows.
    if not EARLIEST.year <= moment.year < LATEST.year:
        raise ValueError(f"must be from {EARLIEST.year} to {LATEST.year - 1}")
    return moment.astimezone(UTC)


def _no_control_character(text: str) -> str:
    if not text.isprintable():
        raise ValueError("has a character that cannot be printed")
    return text


Moment = Annotated[AwareDatetime, AfterValidator(_plausible)]
Name = Annotated[str, AfterValidator(_no_control_character)]
ModelId = Annotated[Name, Path(max_length=LONGEST_ID, description="a model's id, as /reports/models lists it")]
Limit = Annotated[int, Query(ge=1, le=MOST_ROWS, description="rows; no instant or board is cut for it")]
Before = Annotated[Moment | None, Query(description="only what is older: a next page, as the `Link` header has it")]


@dataclass(frozen=True)
class Span:
    """`start <= t <= end`."""

    start: datetime
    end: datetime


def _span(
    here: Here,
    start: Annotated[Moment | None, Query(description="default: seven days before `end`")] = None,
    end: Annotated[Moment | None, Query(description="such as 2026-01-05T12:00Z; default: the newest")] = None,
) -> Span:
    until = end or (newest(here.database) if here.begun else None) or datetime.now(UTC)
    return Span(start or until - timedelta(days=7), until)


def _project_ids(
    several: Annotated[
        list[Name] | None,
        Query(alias="projectIds", description="models' ids, comma-separated or repeated; default: all"),
    ] = None,
) -> list[str]:
    return [one.strip() for ids in several or [] for one in ids.split(",") if one.strip()]


Between = Annotated[Span, Depends(_span)]
ProjectIds = Annotated[list[str], Depends(_project_ids)]
