"""Every setting of a competition, with where each one came from.

Strongest first: the process environment, `.local.env` in the code location's own folder, the defaults here. What the
folder says over its pack is in `overrides`.
"""

import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from coordinator_dagster.errors import UserErrors
from coordinator_dagster.faults import pydantic_faults
from coordinator_dagster.runners.layers import LAYERS
from slots.market import Kind, granularity_seconds

ORIGIN = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?")  # as browsers send it
RESERVED_NAMES = {"public", "dagster", "information_schema"}


class Settings(BaseSettings):
    """The environment variables that the coordinator reads; each field's name in capitals is its name."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, env_ignore_empty=True)

    competition: str = Field("demo", description="slug: names the database schema and the assets")
    mode: Literal["live", "replay"] = Field("replay", description="fixed per competition schema")
    window: Literal["hour", "day"] = Field("hour", description="how long a Dagster partition is")
    competition_start: datetime | None = Field(None, description="the first window's start, an hour, UTC")
    competition_end: datetime | None = Field(None, description="no cycle from then on, an hour, UTC; unset: open")
    pack: str = Field("baseline", description="a pack's id, or the path of a .json file")
    database_url: SecretStr | None = Field(None, description="PostgreSQL; unset: embedded, in .coordinator")
    dagster_schema: str = Field("dagster", description="of Dagster's own tables there; one for each UI with its daemon")

    feed_provider: str = Field("simulated", description="binance, pyth, replay, simulated or none")
    feed_assets: Annotated[list[str], NoDecode] = Field([], description="comma-separated; empty: the pack's")
    feed_kind: Kind | None = Field(None, description="the only kind the feed serves; unset: any")
    feed_granularity: str | None = Field(None, description="the only granularity; unset: any")
    feed_backfill_minutes: int = Field(180, ge=0, description="history fetched before the first window")
    feed_candles_window: int = Field(120, ge=1, description="candles in the default input")
    feed_base_url: str | None = Field(None, description="the venue's address; unset: its own")
    feed_stream_url: str | None = Field(None, description="its websockets; unset: as FEED_BASE_URL, else its own")
    feed_history_url: str | None = Field(None, description="pyth: its candles; unset: as FEED_BASE_URL, else its own")
    feed_api_key: SecretStr | None = Field(None, description="pyth: sent as a bearer token; unset: none")
    feed_patience_seconds: float = Field(70, gt=0, description="a question that fails is asked again for so long")
    feed_quote: str = Field("USDT", description="binance: what assets are priced in")
    feed_flush_seconds: float = Field(0.25, ge=0, description="a trade is final that long after its time")
    feed_seed: int = Field(1, description="of the simulated feed")
    feed_tape_dir: Path | None = Field(None, description="folder of the replay feed: CSV files, or an archive")
    feed_tape_provider: str | None = Field(None, description="which provider's files; unset: first by name")

    market_record_ttl_days: int = Field(90, ge=0, description="older months of the tape go, archived; 0: none does")
    dagster_run_ttl_days: int = Field(30, ge=0, description="Dagster's runs and events go then; 0: none does")
    tape_archive_dir: Path = Field(Path("tape_archive"), description="Parquet of the tape, before it goes")

    model_runner: Literal["local", "grpc"] = Field(
        "local", description="models run here, or at an orchestrator's nodes"
    )
    model_runner_node_host: str = Field("localhost", min_length=1, description="grpc: the model orchestrator's host")
    model_runner_node_port: int = Field(9091, ge=1, le=65535, description="grpc: its websocket port")
    crunch_id: str | None = Field(None, description="grpc: which crunch's models; the orchestrator's name for it")
    model_runner_client_max_failures: int = Field(
        100,
        ge=0,
        description="grpc: after more failures in a row the client reports the model, and it is stopped; 0: never",
    )
    model_runner_client_max_timeouts: int = Field(100, ge=0, description="grpc: the same for answers that do not come")
    model_runner_secure_credentials_dir: Path | None = Field(
        None, description="grpc: folder of ca.crt, tls.crt and tls.key; unset: no TLS"
    )
    model_runner_gateway_key_file: Path | None = Field(
        None, description="grpc: PEM of an RSA key, for nodes behind a gateway; instead of the folder"
    )
    models_dir: Path = Field(Path("examples/models"), description="the local runner's models")
    model_runner_timeout_seconds: float = Field(60, gt=0, description="a model is killed after that")
    model_runner_max_consecutive_failures: int = Field(
        10, ge=0, description="so many failed instants in a row suspend a model; 0: never"
    )
    model_runner_max_consecutive_timeouts: int = Field(
        5, ge=0, description="so many timeouts in a row suspend a model; 0: never"
    )
    model_suspension_seconds: float = Field(
        900, gt=0, description="how long it is not asked, its window's end at the latest"
    )
    model_base_classname: str = Field("slots.tracker.TrackerBase", description="what models subclass")
    model_preload: Annotated[list[str] | None, NoDecode] = Field(
        None, description="modules loaded once for all models; unset: numpy and pandas, if a model imports them"
    )
    model_memory_mb: int = Field(512, ge=32, description="what a model may map beyond the preloaded modules")
    model_layers_waived: Annotated[list[str], NoDecode] = Field(
        [], description="live: start models although these layers of confinement are missing; or all"
    )
    clock_url: str | None = Field(None, description="a venue's clock to follow; unset: the machine's")
    checkpoint_interval_seconds: int | None = Field(None, gt=0, description="live: settle so often; unset: the pack's")
    public_repo: Path | None = Field(
        None, description="the participants' repo beside this node; `coordinator contest` writes there"
    )
    report_url: str | None = Field(None, description="where participants reach `coordinator report`; in the contest")
    report_cors_origins: Annotated[list[str], NoDecode] = Field(
        [], description="comma-separated: pages of these origins may read the report API; empty: its own only"
    )
    backfill_windows: int | None = Field(
        None, ge=1, description="windows in one run of a backfill, for several workers; unset: all in one"
    )
    sensors: bool = Field(True, description="live: start and settle by themselves, once the daemon runs")
    failure_webhook_url: SecretStr | None = Field(None, description="what is wrong is posted there, as Slack takes it")
    log_format: Literal["text", "json"] = Field("text", description="of what services print; json: an object a line")
    slot_version: str = Field("", description="change it to have everything scored anew")

    @field_validator("competition")
    @classmethod
    def _slug(cls, value: str) -> str:
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,46}", value) or value in RESERVED_NAMES or value[:3] == "pg-":
            raise ValueError(
                "must be a slug: a lower-case letter, then up to 46 of a-z, 0-9 and -, and none of "
                + ", ".join(sorted(RESERVED_NAMES))
            )
        return value

    @field_validator("dagster_schema")
    @classmethod
    def _dagsters_own_schema(cls, value: str, info: ValidationInfo) -> str:
        if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", value) or value[:3] == "pg_" or value == "information_schema":
            raise ValueError(
                "must name a schema: a lower-case letter or _, then up to 62 of a-z, 0-9 and _; not pg_… and not "
                "information_schema"
            )
        if value == schema_name(info.data.get("competition", "")):
            raise ValueError(f"is the schema of the competition; choose another, such as {value}_dagster")
        return value

    @field_validator("competition_start", "competition_end")
    @classmethod
    def _a_window_in_utc(cls, value: datetime | None, info: ValidationInfo) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("has no time zone; write it as UTC, such as 2023-03-24T00:00Z")
        value = value.astimezone(UTC)
        if value.minute or value.second or value.microsecond:
            raise ValueError("must be a full hour, such as 2023-03-24T00:00Z")
        if value.hour and info.data.get("window") == "day":
            raise ValueError("must be a midnight where WINDOW=day, such as 2023-03-24T00:00Z")
        return value

    @field_validator("backfill_windows")
    @classmethod
    def _asked_side_by_side(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is not None and info.data.get("model_runner") == "grpc":
            raise ValueError(
                "with MODEL_RUNNER=grpc the same models go on from window to window, so they are asked in order, "
                "in one run; leave it out"
            )
        return value

    @field_validator("feed_assets", "model_preload", "model_layers_waived", "report_cors_origins", mode="before")
    @classmethod
    def _comma_separated(cls, value: Any) -> Any:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("model_layers_waived")
    @classmethod
    def _layers(cls, value: list[str]) -> list[str]:
        if value == ["all"]:
            return list(LAYERS)
        if unknown := [name for name in value if name not in LAYERS]:
            raise ValueError(f"has {', '.join(unknown)}; it takes all, or some of {', '.join(LAYERS)}")
        return value

    @field_validator("report_cors_origins")
    @classmethod
    def _origins(cls, value: list[str]) -> list[str]:
        if wrong := [one for one in value if not ORIGIN.fullmatch(one)]:
            raise ValueError(
                f"has {', '.join(wrong)}; name each origin, such as https://board.example.org, without a path and "
                "without *"
            )
        return value

    @field_validator("feed_granularity")
    @classmethod
    def _granularity(cls, value: str | None) -> str | None:
        if value is not None:
            granularity_seconds(value)
        return value

    @field_validator("feed_quote")
    @classmethod
    def _quote(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Z0-9]+", value):
            raise ValueError("must be capitals and digits, such as USDT")
        return value

    @field_validator("model_base_classname")
    @classmethod
    def _dotted(cls, value: str) -> str:
        if "." not in value:
            raise ValueError("must be module.Class, such as slots.tracker.TrackerBase")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, dotenv_settings


def schema_name(competition: str) -> str:
    """The schema of a competition's tables."""
    return competition.replace("-", "_")


def read_settings(home: Path) -> Settings:
    """The settings of the code location in `home`, where its paths begin; UserErrors with every fault."""
    try:
        settings = Settings(_env_file=home / ".local.env")
    except ValidationError as error:
        faults = pydantic_faults("settings", error, Settings)
        raise UserErrors([_named_as_set(fault, home) for fault in faults]) from None
    found: dict[str, Any] = {}
    if settings.pack.endswith(".json"):
        found["pack"] = str(home / settings.pack)
    if settings.feed_tape_dir:
        found["feed_tape_dir"] = home / settings.feed_tape_dir
    found["tape_archive_dir"] = home / settings.tape_archive_dir
    for name in ("model_runner_secure_credentials_dir", "model_runner_gateway_key_file"):
        if path := getattr(settings, name):
            found[name] = home / path
    if settings.public_repo:
        found["public_repo"] = (home / settings.public_repo).resolve()
    return settings.model_copy(update=found)


def _named_as_set(fault: str, home: Path) -> str:
    field = fault.removeprefix("settings: ").split(" ")[0].split(".")[0]
    return fault.replace(f"settings: {field}", f"{source_of(field, home)}: {field.upper()}", 1)


def source_of(field: str, home: Path) -> str:
    """Where a setting came from, for people."""
    name = field.upper()
    if any(key.upper() == name for key in os.environ):
        return "environment"
    file = home / ".local.env"
    return str(file) if any(key.upper() == name for key in dotenv_values(file)) else "default"
