"""What the private endpoints answer."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

INSTANT = "2026-01-05T00:15:00Z"


class OwnForecast(BaseModel):
    """One forecast with all that is stored of it; times are UTC. The score is that of the version that is shown."""

    performed_at: datetime = Field(examples=[INSTANT], description="the instant it was asked for")
    prediction_config_id: str = Field(examples=["btc-60s"])
    scope_key: str = Field(examples=["BTC-60"])
    scope: dict[str, Any] = Field(examples=[{"asset": "BTC", "horizon_seconds": 60, "step_seconds": 60}])
    resolvable_at: datetime = Field(examples=["2026-01-05T00:16:00Z"])
    status: str = Field(examples=["FAILED"], description="SUCCESS, FAILED, TIMEOUT, LATE, ABSENT, SUSPENDED, …")
    reason: str | None = Field(examples=["ZeroDivisionError: division by zero (main.py:12)"])
    raw: str | None = Field(examples=[None], description="what it answered, where that was no valid output")
    output: Any = Field(examples=[None])
    deployment: str | None = Field(examples=["4be1a0c92d77"])
    asked_at: datetime | None
    answered_at: datetime | None
    exec_time_ms: float | None = Field(examples=[1.25], description="in the model")
    queued_ms: float | None = Field(examples=[0.5], description="in our queues")
    score_status: str | None = Field(examples=["CHARGED"], description="null: it waits for the truth")
    score_value: float | None = Field(examples=[-500.0])
    score_failed_reason: str | None = Field(examples=["CHARGED: FAILED, the worst score"])
    scored_at: datetime | None


class Input(BaseModel):
    """What every model was given at an instant."""

    performed_at: datetime = Field(examples=[INSTANT])
    cut_off: datetime = Field(description="what had arrived by then was used")
    built_at: datetime
    bytes: int = Field(examples=[14200], description="of the payload as it was sent")
    payload: Any = Field(examples=[{"symbol": "BTC", "asof_ts": 1767572100, "candles_1m": []}])


class Explanation(BaseModel):
    """The document of `coordinator explain --json`: a model at an instant, with each config that was due."""

    competition: str = Field(examples=["demo"])
    instant: datetime = Field(examples=[INSTANT])
    model: dict[str, Any]
    input: dict[str, Any] | None = Field(description="null: none was built, or the model was not asked")
    cycles: list[dict[str, Any]] = Field(
        description="each with outcome, cycle, forecast, truth, score, board, superseded, other_versions, version"
    )
