"""`/reports/feeds`: what the tape has, and its newest records. The web app shows Feeds where the list is not empty."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from coordinator_dagster.report.opened import Here
from coordinator_dagster.report.parameters import Name
from coordinator_dagster.report.problems import answers
from coordinator_dagster.report.rendered import json_answer
from coordinator_dagster.report.shapes import FeedRow, RecordRow
from coordinator_dagster.store.report import feeds as report_feeds

router = APIRouter(prefix="/reports/feeds", tags=["report"])
Wanted = Annotated[Name | None, Query(description="default: any")]
Older = Annotated[Name | None, Query(description="its older name", deprecated=True)]


@router.get("", response_model=list[FeedRow], responses=answers(304))
def feeds(request: Request, here: Here) -> Response:
    """A row a series that has records. Times say that they are UTC."""
    found = report_feeds.feeds(here.database) if here.begun else []
    rows = [
        {
            **_series(one),
            "record_count": one.record_count,
            "oldest_ts": _iso(one.oldest),
            "newest_ts": _iso(one.newest),
            "watermark_ts": _iso(one.complete_through),
            "watermark_updated_at": _iso(one.updated_at),
        }
        for one in found
    ]
    return json_answer(request, rows)


@router.get("/tail", response_model=list[RecordRow], responses=answers(304, 422))
def tail(
    request: Request,
    here: Here,
    source: Wanted = None,
    subject: Wanted = None,
    kind: Wanted = None,
    granularity: Wanted = None,
    provider: Older = None,
    asset: Older = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 20,
) -> Response:
    """The newest records of a series, newest first."""
    wanted = (source or provider, subject or asset, kind, granularity)
    found = report_feeds.tail(here.database, *wanted, limit) if here.begun else []
    rows = [
        {
            **_series(one),
            "ts_event": _iso(one.ts_event),
            "ts_ingested": _iso(one.ts_ingested),
            "values": one.values_jsonb,
            "meta": one.meta_jsonb,
        }
        for one in found
    ]
    return json_answer(request, rows)


def _series(one: Any) -> dict[str, Any]:
    return {
        "source": one.provider,
        "subject": one.asset,
        "provider": one.provider,
        "asset": one.asset,
        "kind": one.kind,
        "granularity": one.granularity,
    }


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
