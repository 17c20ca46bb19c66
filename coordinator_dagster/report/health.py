"""`/healthz`: the process answers. `/readyz`: so does the database."""

import logging
from typing import Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from coordinator_dagster.errors import UserError
from coordinator_dagster.report.opened import Here
from coordinator_dagster.report.problems import AWAY, Refused

log = logging.getLogger(__name__)
router = APIRouter(tags=["health"])


class Alive(BaseModel):
    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """`status` is `unavailable`, with a reason, while the database is away."""

    status: Literal["ok", "unavailable"]
    competition: str = Field(examples=["demo"])
    database: str | None = Field(examples=["PostgreSQL 16.4"])
    reason: str | None = None


@router.get("/healthz")
async def healthz() -> Alive:
    """The process answers; nothing else is asked."""
    return Alive()


@router.get("/readyz", response_model=Ready, responses={503: {"model": Ready, "description": "the database is away"}})
def readyz(here: Here) -> Ready | JSONResponse:
    """200 with the server's version; 503 with a reason while the database is away, or its tables are others'."""
    name = here.competition.settings.competition
    try:
        version = here.store.database.server_version()
        here.look_again()
        _ = here.begun  # Refused, where the tables are of another version
    except (UserError, Refused) as error:
        log.warning("%s", error)
        reason = str(error) if isinstance(error, Refused) else AWAY
        away = Ready(status="unavailable", competition=name, database=None, reason=reason)
        return JSONResponse(away.model_dump(), 503)
    return Ready(status="ok", competition=name, database=f"PostgreSQL {version}")
