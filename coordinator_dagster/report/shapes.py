"""The rows of the API for its description: what each holds, with an example. Metrics and scopes add fields to them."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

NAIVE = "2026-01-05T12:00:00"
AWARE = "2026-01-05T12:00:00+00:00"
OUTPUT_STATUSES = Literal["SUCCESS", "FAILED", "TIMEOUT", "LATE", "ABSENT", "SUSPENDED", "PLATFORM_FAULT"]


class Open(BaseModel):
    """A row with more fields than these: each metric, as `NAME` and `score_NAME`, or each field of its scope."""

    model_config = ConfigDict(extra="allow")


class Scored(Open):
    """A model's metrics: each is at the top level, too, by its own name and as `score_NAME`."""

    model_id: str = Field(examples=["mean-reversion"])
    score_metrics: dict[str, float | None] = Field(examples=[{"recent": -3.2, "anchor": -2.9}])
    score_ranking: dict[str, Any] = Field(
        description="which metric ranks: `key`, `value`, `direction`; nulls left out",
        examples=[{"key": "anchor", "value": -2.9, "direction": "desc"}],
    )


class LeaderboardRow(Scored):
    model_name: str | None = Field(examples=["Mean reversion"])
    cruncher_name: str | None = Field(description="the player", examples=["Ada"])
    rank: int | None = Field(description="null: unranked", examples=[1])
    unranked_reason: str | None = Field(examples=["answered 3 cycles of the 30 it takes"])
    answered: int | None = Field(description="cycles answered in the look-back", examples=[58])
    due: int | None = Field(description="cycles that had to be answered", examples=[60])
    coverage: float | None = Field(description="answered / due", examples=[0.967])
    status: str | None = Field(description="active, suspended, disqualified or LEFT", examples=["active"])
    created_at: str = Field(description="when the board was made; UTC without a zone", examples=[NAIVE])
    score_payload: dict[str, Any] = Field(description="what the aggregator added")


class ModelRow(BaseModel):
    model_id: str = Field(examples=["mean-reversion"])
    model_name: str = Field(examples=["Mean reversion"])
    cruncher_name: str = Field(examples=["Ada"])
    cruncher_id: str = Field(examples=["ada"])
    deployment_id: str = Field(description="which code of the model", examples=["9f86d081884c"])


class MetricsRow(Scored):
    performed_at: str = Field(description="of the board; UTC without a zone", examples=[NAIVE])


class ScopeRow(MetricsRow):
    scope_key: str = Field(examples=["BTC-60s"])
    scope: dict[str, Any] = Field(examples=[{"asset": "BTC", "horizon_seconds": 60, "step_seconds": 60}])


class PredictionRow(Open):
    """One forecast. The fields of its scope are at the top level, too."""

    model_id: str = Field(examples=["mean-reversion"])
    prediction_config_id: str = Field(examples=["btc-60s"])
    scope_key: str = Field(examples=["BTC-60s"])
    scope: dict[str, Any] = Field(examples=[{"asset": "BTC", "horizon_seconds": 60}])
    status: OUTPUT_STATUSES
    score_status: Literal["SCORED", "CHARGED", "EXEMPT"] | None = Field(description="null: not scored yet")
    score_value: float | None = Field(examples=[-2.4])
    score_failed: bool = Field(description="true while there is no score", examples=[False])
    score_failed_reason: str | None = Field(
        description="for a charge its rule", examples=["CHARGED: TIMEOUT, the worst score"]
    )
    scored_at: str | None = Field(examples=[NAIVE])
    performed_at: str = Field(description="the instant; UTC without a zone", examples=[NAIVE])


class TruthRow(BaseModel):
    """What came true of one cycle, the same for all models; `status` null: not known yet."""

    prediction_config_id: str = Field(examples=["btc-60s"])
    scope_key: str | None = Field(examples=["BTC-60s"])
    performed_at: str = Field(examples=[NAIVE])
    resolvable_at: str = Field(examples=["2026-01-05T12:01:00"])
    status: Literal["RESOLVED", "VOID"] | None
    reason: str | None = Field(description="why it is VOID")
    truth: dict[str, Any] | None = Field(examples=[{"entry_price": 42000.1, "resolved_price": 42003.4}])
    external: bool | None = Field(description="not from our tape")
    resolved_at: str | None = Field(examples=[NAIVE])


class Series(BaseModel):
    source: str = Field(examples=["binance"])
    subject: str = Field(examples=["BTC"])
    provider: str = Field(description="`source` by its older name", examples=["binance"])
    asset: str = Field(description="`subject` by its older name", examples=["BTC"])
    kind: Literal["tick", "candle"]
    granularity: str = Field(examples=["1m"])


class FeedRow(Series):
    record_count: int = Field(examples=[10080])
    oldest_ts: str | None = Field(examples=[AWARE])
    newest_ts: str | None = Field(examples=[AWARE])
    watermark_ts: str | None = Field(description="nothing until then is still to come", examples=[AWARE])
    watermark_updated_at: str | None = Field(examples=[AWARE])


class RecordRow(Series):
    ts_event: str = Field(description="a candle's open time, a tick's trade time", examples=[AWARE])
    ts_ingested: str = Field(examples=[AWARE])
    values: dict[str, float] = Field(examples=[{"price": 42000.1}])
    meta: dict[str, Any]


class Column(Open):
    """A column of the leaderboard: `property` names a field of its rows."""

    id: int
    type: str = Field(examples=["VALUE"])
    property: str = Field(examples=["score_anchor"])
    displayName: str = Field(examples=["Anchor"])


class Widget(Open):
    """A chart of the metrics page: `endpointUrl` is a path here."""

    id: int
    type: Literal["CHART", "IFRAME"]
    displayName: str = Field(examples=["Scores"])
    endpointUrl: str = Field(examples=["/reports/models/metrics"])


class ReportSchema(Open):
    schema_version: str = Field(examples=["1"])
    leaderboard_columns: list[Column]
    metrics_widgets: list[Widget]
