"""`/private/…`: what only the operator and the player of a model may read. All of it needs a key."""

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import PlainTextResponse

from coordinator_dagster.errors import UserError
from coordinator_dagster.explain import explanation
from coordinator_dagster.report.access import KeyHolder
from coordinator_dagster.report.for_players import for_its_player, without_files
from coordinator_dagster.report.opened import Here
from coordinator_dagster.report.parameters import Before, Limit, ModelId, Moment, Name
from coordinator_dagster.report.private_rows import Explanation, Input, OwnForecast
from coordinator_dagster.report.problems import Refused, answers
from coordinator_dagster.runners.logs import last_lines
from coordinator_dagster.store.explain import Evidence
from coordinator_dagster.store.report.newest_cycles import Asked

MOST_LINES = 10_000
PRINTED: dict[str, Any] = {"description": "text", "content": {"text/plain": {"schema": {"type": "string"}}}}
router = APIRouter(prefix="/private", tags=["private"], responses=answers(401, 404, 422, 429))


def _own_model(caller: KeyHolder, here: Here, model_id: ModelId) -> str:
    """The model, when the caller may read of it: another's is as unknown as one that is not there."""
    player = here.store.roster.player_of(model_id)
    if player is None or not caller.may_read_of(player):
        whose = "" if caller.role == "operator" else " of yours"
        raise Refused(404, f"there is no such model{whose}; GET /models lists all there are")
    return model_id


OwnModel = Annotated[str, Depends(_own_model)]
At = Annotated[Moment, Query(description="the instant, with its zone, such as 2026-01-05T00:15Z")]


@router.get("/models/{model_id}/forecasts")
def forecasts(
    request: Request,
    response: Response,
    model: OwnModel,
    here: Here,
    start: Annotated[Moment | None, Query(description="with its zone; default: the competition's start")] = None,
    end: Annotated[Moment | None, Query(description="default: now")] = None,
    failed: Annotated[bool, Query(description="only those without SUCCESS")] = False,
    limit: Limit = 100,
    before: Before = None,
) -> list[OwnForecast]:
    """A model's forecasts, newest first: with what it answered, and why it failed.

    While the `Link` header has a next page there may be older ones, though this page be empty.
    """
    page = here.store.own_forecasts.page(model, Asked(start, end, before), failed, limit)
    if page.older:
        asked = {**request.query_params, "before": page.older.isoformat()}
        response.headers["Link"] = f'<?{urlencode(asked)}>; rel="next"'
    texts = ("reason", "score_failed_reason")
    return [OwnForecast(**{**row, **{name: without_files(row[name]) for name in texts}}) for row in page.rows]


@router.get("/models/{model_id}/log", response_class=Response, responses={200: PRINTED})
def log(
    model: OwnModel, here: Here, lines: Annotated[int, Query(ge=1, le=MOST_LINES, description="the last ones")] = 200
) -> Response:
    """The last of what a model printed, its tracebacks among it, as text."""
    competition = here.competition
    if competition.settings.model_runner == "grpc":
        raise Refused(404, "what the model prints is kept by the model orchestrator, which runs it")
    code = competition.home / competition.settings.models_dir / model
    printed = last_lines(competition.model_logs, model, code, lines)
    if not printed:
        raise Refused(404, "nothing that the model printed is kept on this machine")
    return PlainTextResponse(
        "\n".join(printed) + "\n", headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    )


@router.get("/models/{model_id}/explain")
def explain(
    model: OwnModel,
    caller: KeyHolder,
    here: Here,
    at: At,
    config: Annotated[Name | None, Query(description="this config only; default: all that were due")] = None,
) -> Explanation:
    """What a model was given, what it answered, what came true, and why its score is what it is."""
    try:
        found: dict[str, Any] = explanation(here.competition, here.store, model, at, config)
    except UserError as nothing:
        raise Refused(404, str(nothing)) from None
    return Explanation(**(found if caller.role == "operator" else for_its_player(found)))


@router.get("/inputs")
def inputs(caller: KeyHolder, here: Here, at: At) -> Input:
    """What the models were given at an instant: for the operator, and for who has a model that was asked then."""
    asked = caller.player_id is None or here.store.own_forecasts.was_asked(caller.player_id, at)
    given = Evidence(here.database).given(at) if asked else None
    if given is None:
        whose = "" if caller.player_id is None else " at which a model of yours was asked"
        raise Refused(404, f"there is no input of {at.isoformat()}{whose}; an instant is a multiple of a cadence")
    return Input(performed_at=at, **given)
