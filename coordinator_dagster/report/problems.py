"""What the API says when it cannot answer: one shape for every error, as the web app reads it."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from starlette.exceptions import HTTPException

from coordinator_dagster.store.database import ServerAway
from slots.loader import SlotErrors, SlotFailure

log = logging.getLogger(__name__)
TOOK_TOO_LONG = ("57014", "55P03")  # PostgreSQL's codes: a statement was cancelled, a lock was not to be had
BUSY = "the database is busy; ask again in some seconds"
AWAY = "the database does not answer; start it, or mend DATABASE_URL: the log of `coordinator report` says more"


class FieldError(BaseModel):
    """What is wrong with one parameter."""

    property: str = Field(examples=["start"])
    message: str = Field(examples=["Input should be a valid datetime; it is 'yesterday'"])


class Problem(BaseModel):
    """An error: `message` for a person, with the remedy; `fieldErrors` where parameters are at fault."""

    model_config = ConfigDict(populate_by_name=True)

    message: str = Field(examples=["there is no such model; GET /reports/models lists them"])
    field_errors: list[FieldError] = Field([], alias="fieldErrors")


class Refused(Exception):
    """Raised by an endpoint that cannot answer: the status, and what is said."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers


def answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a route's `responses`: these errors in their one shape; 503, while the database is away, always."""
    return {
        one: {"description": HTTPStatus(one).phrase, **({"model": Problem} if one >= 400 else {})}
        for one in (*statuses, 503)
    }


def handle_problems(app: FastAPI) -> None:
    """Every error of the application in that shape."""
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    for error in (*ServerAway, NoConnectionFree):
        app.add_exception_handler(error, _away)
    app.add_exception_handler(ProgrammingError, _other_tables)
    app.add_exception_handler(Exception, _fault)
    for fault in (SlotErrors, SlotFailure):
        app.add_exception_handler(fault, _slots)


def problem(
    status: int, message: str, fields: Sequence[FieldError] = (), headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """The answer itself."""
    content = Problem(message=message, field_errors=list(fields)).model_dump(by_alias=True)
    return JSONResponse(content, status, headers={"Cache-Control": "no-store", **(headers or {})})


def _refused(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refused)
    return problem(error.status, error.message, headers=error.headers)


def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    fields = [
        FieldError(
            property=".".join(str(part) for part in one["loc"][1:]),
            message=f"{one['msg'].removeprefix('Value error, ')}; it is {one['input']!r:.100}",
        )
        for one in error.errors()
    ]
    said = "; ".join(f"{one.property}: {one.message}" for one in fields)
    return problem(422, f"mend the parameters of the request: {said}", fields)


def _http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    said = "there is nothing here; GET /openapi.json lists what there is" if error.status_code == 404 else error.detail
    return problem(error.status_code, said, headers=error.headers)


def _slots(_request: Request, error: Exception) -> JSONResponse:
    log.error("%s", error)
    return problem(503, "the operator's slots cannot be used: the log of `coordinator report` says why")


def _away(_request: Request, error: Exception) -> JSONResponse:
    # Whoever asks may be anyone: where the database is and who it knows is for the log.
    log.warning("%s", error)
    return problem(503, said_of(error), headers={"Retry-After": "5"})


def said_of(error: Exception) -> str:
    """Whether the database is away or took too long, for anybody."""
    slow = getattr(getattr(error, "orig", error), "pgcode", None) in TOOK_TOO_LONG
    return BUSY if slow or isinstance(error, NoConnectionFree) else AWAY


def _other_tables(request: Request, error: Exception) -> JSONResponse:
    request.app.state.opened.look_again()
    log.error("%s", error)
    return problem(503, "the competition's tables are not there, or not as they were; ask again")


def _fault(_request: Request, _error: Exception) -> JSONResponse:
    # The server logs it with its traceback.
    return problem(500, "a fault of ours: the log of `coordinator report` has it")
