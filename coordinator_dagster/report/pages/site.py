"""How every page is made: its templates, its headers, and what is said where there is nothing to show."""

import logging
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from starlette.staticfiles import StaticFiles

from coordinator_dagster.report.pages.columns import written
from coordinator_dagster.report.problems import Refused
from coordinator_dagster.report.rendered import Rendered, render, respond
from coordinator_dagster.store.database import ServerAway

log = logging.getLogger(__name__)
HTML = "text/html; charset=utf-8"
# What a model's owner chose as a name, or a venue as its words, never becomes script: nothing inline is run.
POLICY = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
AWAY_TITLE, AWAY = "The database does not answer", "This page comes back by itself as soon as it does."
ENVIRONMENT = Environment(
    loader=PackageLoader("coordinator_dagster.report.pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


class Static(StaticFiles):
    """The style sheet and the scripts: asked for again each time, answered with 304 while they are the same."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers.update({"Cache-Control": "no-cache", **HEADERS})
        return response


class PageRoute(APIRoute):
    """A route whose errors are pages, too."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def answer_or_say(request: Request) -> Response:
            try:
                return await answer(request)
            except Refused as refused:
                title = "There is no such page" if refused.status == 404 else "Not now"
                return message(request, refused.status, title, refused.message)
            except RequestValidationError:
                return message(request, 404, "There is no such page", "The address holds what no name can hold.")
            except (*ServerAway, NoConnectionFree) as error:
                log.warning("%s", error)
                return message(request, 503, AWAY_TITLE, AWAY)

        return answer_or_say


def page_router() -> APIRouter:
    """For a page's routes, which are none of the API's."""
    return APIRouter(route_class=PageRoute, include_in_schema=False)


def fragment(template: str, **context: Any) -> str:
    """A part of a page."""
    return ENVIRONMENT.get_template(template).render(**context)


def html(template: str, **context: Any) -> Rendered:
    return render(fragment(template, **context).encode(), HTML)


def answer(request: Request, rendered: Rendered) -> Response:
    return respond(request, rendered, HEADERS)


def message(request: Request, status: int, title: str, text: str) -> Response:
    """A page that says one thing."""
    name = request.app.state.opened.competition.settings.competition
    body = fragment("message.html", name=name, title=title, text=text, nav=[("/", "Leaderboard", False)], status=status)
    return Response(body, status, {"Cache-Control": "no-store", **HEADERS}, HTML)


def nav(current: str, has_feeds: bool) -> list[tuple[str, str, bool]]:
    """Address and name of each page, and whether it is the one shown."""
    pages = [("/", "Leaderboard"), *([("/feeds", "Feeds")] if has_feeds else [])]
    return [(address, name, address == current) for address, name in pages]


def model_address(model_id: str) -> str:
    """Where a model's page is, whatever its id holds."""
    return f"/model/{quote(model_id, safe='')}"


def utc(moment: datetime | None, form: str = "%Y-%m-%d %H:%M:%S") -> Markup | str:
    """A moment for people, which scripts can read, too."""
    if moment is None:
        return "–"
    moment = moment.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(moment.isoformat(), moment.strftime(form))


ENVIRONMENT.filters["utc"] = utc
ENVIRONMENT.filters["number"] = lambda value, digits: written(value, f"decimal-{digits}")
ENVIRONMENT.globals["model_address"] = model_address
