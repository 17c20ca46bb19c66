"""The API's application: its endpoints, its one pool of connections, and what it says while the database is away."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from coordinator_dagster.competition import Competition
from coordinator_dagster.errors import UserError
from coordinator_dagster.report import leaderboard, tape
from coordinator_dagster.report.opened import Here, Opened
from coordinator_dagster.store.database import Database, ServerAway, with_driver
from coordinator_dagster.store.store import Store, database_url

log = logging.getLogger(__name__)
AWAY = "the database does not answer; start it, or mend DATABASE_URL: the log of `coordinator report` says more"


def create_app(competition: Competition) -> FastAPI:
    """The application. UserError when DATABASE_URL is none; a server that is away may come later.

    Nothing is migrated: before the competition's first run its endpoints have nothing to show.
    """
    url = with_driver(database_url(competition))

    @asynccontextmanager
    async def opened(app: FastAPI) -> AsyncIterator[None]:
        database = Database(url, competition.schema)
        app.state.opened = Opened(competition, Store(database))
        try:
            yield
        finally:
            database.close()

    # The interactive pages would load scripts from another host; /openapi.json is there.
    app = FastAPI(title=f"{competition.settings.competition}: reports", lifespan=opened, docs_url=None, redoc_url=None)
    app.include_router(leaderboard.router)
    app.include_router(tape.router)
    app.add_api_route("/health", health)
    for error in (*ServerAway, NoConnectionFree):
        app.add_exception_handler(error, _away)
    return app


def health(here: Here) -> JSONResponse:
    """200 with the server's version; 503 with a reason when the database is away."""
    said = {"status": "ok", "competition": here.competition.settings.competition}
    try:
        said["database"] = f"PostgreSQL {here.store.database.server_version()}"
    except UserError as error:
        log.warning("%s", error)
        return JSONResponse({**said, "status": "unavailable", "database": None, "reason": AWAY}, 503)
    return JSONResponse(said)


def _away(_request: Request, error: Exception) -> JSONResponse:
    # Whoever asks may be anyone: where the database is and who it knows is for the log.
    log.warning("%s", error)
    return JSONResponse({"detail": AWAY}, 503)
