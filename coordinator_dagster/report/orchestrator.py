"""`/models`: the models as the web app's Models page asks the model orchestrator for them."""

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from coordinator_dagster.report.access import KEY_IS_OPTIONAL, Caller, CallerOrNobody
from coordinator_dagster.report.opened import Here
from coordinator_dagster.report.problems import answers
from coordinator_dagster.settings import Settings
from coordinator_dagster.store.report.roster import Entrant

STATUS: dict[str, Literal["RUNNER_RUNNING", "RUNNER_FAILED", "RUNNER_STOPPED"]] = {
    "active": "RUNNER_RUNNING",
    "suspended": "RUNNER_FAILED",
    "disqualified": "RUNNER_STOPPED",
    "LEFT": "RUNNER_STOPPED",
}
router = APIRouter(tags=["orchestrator"])


class ListedModel(BaseModel):
    """A model; `runner_log_uri` only for who may read its log, by the same key."""

    id: str = Field(examples=["trend_following"])
    model_name: str = Field(examples=["Trend following"])
    deployment_id: str = Field(examples=["4be1a0c92d77"])
    desired_state: Literal["RUNNING", "STOPPED"]
    status: Literal["RUNNER_RUNNING", "RUNNER_FAILED", "RUNNER_STOPPED"]
    statusMessage: str | None = Field(examples=["suspended until 2026-01-05T00:30:00+00:00"])
    crunch_id: str = Field(examples=["demo"])
    cruncher_id: str = Field(examples=["ada"])
    cruncher_name: str = Field(examples=["Ada"])
    builder_log_uri: str | None = Field(examples=[None])
    runner_log_uri: str | None = Field(examples=["/private/models/trend_following/log"])


@router.get("/models", responses=answers(401, 429), openapi_extra=KEY_IS_OPTIONAL)
def models(caller: CallerOrNobody, here: Here) -> list[ListedModel]:
    """All models by id; [] before the competition's first run."""
    if not here.begun:
        return []
    settings = here.competition.settings
    return [_listed(one, settings, caller) for one in here.store.roster.entrants()]


def _listed(model: Entrant, settings: Settings, caller: Caller | None) -> ListedModel:
    own, status = caller is not None and caller.may_read_of(model.player_id), STATUS[model.state]
    has_log = own and settings.model_runner == "local"
    return ListedModel(
        id=model.id,
        model_name=model.name,
        deployment_id=model.deployment,
        desired_state="STOPPED" if status == "RUNNER_STOPPED" else "RUNNING",
        status=status,
        statusMessage=_message(model, own),
        crunch_id=settings.crunch_id or settings.competition,
        cruncher_id=model.player_id,
        cruncher_name=model.player_name,
        builder_log_uri=None,
        runner_log_uri=f"/private/models/{model.id}/log" if has_log else None,
    )


def _message(model: Entrant, own: bool) -> str | None:
    """Why it is not running. An order's reason is for everybody; a suspension's has what the model raised."""
    if model.state == "suspended" and not own:
        return f"suspended until {model.until.isoformat()}" if model.until else "suspended"
    return model.reason
