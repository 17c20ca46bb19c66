"""The addresses of the pages."""

from fastapi import FastAPI

from coordinator_dagster.report.pages import board, feeds, model, now
from coordinator_dagster.report.pages.site import Static


def add_pages(app: FastAPI) -> None:
    """The pages, what they ask for while they are open, and their scripts and styles."""
    for part in (now, board, model, feeds):
        app.include_router(part.router)
    app.mount("/static", Static(packages=[("coordinator_dagster.report.pages", "static")]))
