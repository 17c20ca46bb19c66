"""The API's application: its endpoints, and its one pool of connections."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from coordinator_dagster.competition import Competition
from coordinator_dagster.report import (
    feeds,
    health,
    leaderboard,
    models,
    orchestrator,
    predictions,
    private,
    schema,
    tape,
)
from coordinator_dagster.report.access import Gate, allow_origins
from coordinator_dagster.report.head import HeadAsGet
from coordinator_dagster.report.opened import Opened
from coordinator_dagster.report.pages.routes import add_pages
from coordinator_dagster.report.problems import handle_problems
from coordinator_dagster.stages.report import asked_report_schema
from coordinator_dagster.store.database import Database, with_driver
from coordinator_dagster.store.store import Store, database_url

PATIENCE_SECONDS = 5  # with the database: who asks has left by then, and others wait


def create_app(competition: Competition) -> FastAPI:
    """The application. UserError when DATABASE_URL is none, SlotFailure when the slot's report schema is none.

    A server that is away may come later. Nothing is migrated: before the competition's first run its endpoints have
    nothing to show.
    """
    url, asked = with_driver(database_url(competition)), asked_report_schema(competition)

    @asynccontextmanager
    async def opened(app: FastAPI) -> AsyncIterator[None]:
        database = Database(url, competition.schema, PATIENCE_SECONDS)
        app.state.opened = Opened(competition, Store(database), asked)
        try:
            yield
        finally:
            database.close()

    # The interactive pages would load scripts from another host; /openapi.json is there.
    app = FastAPI(title=f"{competition.settings.competition}: reports", lifespan=opened, docs_url=None, redoc_url=None)
    for part in (health, schema, leaderboard, models, predictions, feeds, orchestrator, private, tape):
        app.include_router(part.router)
    app.state.gate = Gate()
    allow_origins(app, competition.settings.report_cors_origins)
    app.add_middleware(HeadAsGet)
    add_pages(app)
    handle_problems(app)
    return app
