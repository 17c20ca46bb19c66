"""The API's application: its endpoints, and its one pool of connections."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from coordinator_dagster.competition import Competition
from coordinator_dagster.report import health, leaderboard, orchestrator, private, tape
from coordinator_dagster.report.access import Gate, allow_origins
from coordinator_dagster.report.opened import Opened
from coordinator_dagster.report.problems import handle_problems
from coordinator_dagster.store.database import Database, with_driver
from coordinator_dagster.store.store import Store, database_url


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
    for part in (health, leaderboard, orchestrator, private, tape):
        app.include_router(part.router)
    app.state.gate = Gate()
    allow_origins(app, competition.settings.report_cors_origins)
    handle_problems(app)
    return app
