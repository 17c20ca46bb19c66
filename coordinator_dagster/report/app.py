"""The API's application: its endpoints, and its one pool of connections."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from coordinator_dagster.competition import Competition
from coordinator_dagster.report import health, leaderboard, tape
from coordinator_dagster.report.opened import Opened
from coordinator_dagster.report.pages import board, feeds, model, now
from coordinator_dagster.report.pages.site import Static
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
    for part in (health, leaderboard, tape, now, board, model, feeds):
        app.include_router(part.router)
    app.mount("/static", Static(packages=[("coordinator_dagster.report.pages", "static")]))
    handle_problems(app)
    return app
