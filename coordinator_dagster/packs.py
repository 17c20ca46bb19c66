"""A pack: one competition's contract as flat JSON. `packs/<id>.json` holds the three that come along."""

import json
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from coordinator_dagster.errors import UserErrors
from coordinator_dagster.faults import Fault, nearest, pydantic_faults, refuse
from coordinator_dagster.stages.numbers import not_json
from slots.contracts import SLOT_NAMES
from slots.market import Kind, granularity_seconds

LONGEST = 366 * 86_400
Seconds = Annotated[int, Field(gt=0, le=LONGEST)]


def _finite(value: Any) -> Any:
    if fault := not_json(value):
        raise ValueError(f"{fault}; write a finite number")
    return value


Json = Annotated[Any, AfterValidator(_finite)]
JsonObject = Annotated[dict[str, Any], AfterValidator(_finite)]


class Strict(BaseModel):
    """Unknown keys, NaN and silent conversions are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class SeriesSpec(Strict):
    """A series the contest needs; the feed says which provider serves it."""

    asset: str
    kind: Kind
    granularity: str

    @field_validator("granularity")
    @classmethod
    def _granularity_is_one(cls, value: str) -> str:
        granularity_seconds(value)
        return value


class Schedule(Strict):
    """When a config is due, and when its truth is known."""

    every_seconds: Seconds = Field(
        validation_alias=AliasChoices("every_seconds", "prediction_interval_seconds"), le=86_400
    )
    resolve_after_seconds: Seconds | None = None


class PredictionConfig(Strict):
    """One scope template and its cadence."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")
    scope_key: str = Field(min_length=1)
    scope_template: JsonObject
    schedule: Schedule
    active: bool = True
    order: int = 0
    meta: JsonObject = {}
    series: list[SeriesSpec] | None = None

    @model_validator(mode="after")
    def _has_a_horizon(self) -> "PredictionConfig":
        found = self.schedule.resolve_after_seconds or self.scope_template.get("horizon_seconds")
        if not isinstance(found, int) or isinstance(found, bool) or not 0 < found <= LONGEST:
            raise ValueError(
                f"no horizon (found {found!r}): give scope_template.horizon_seconds or "
                f"schedule.resolve_after_seconds, a whole number of seconds from 1 to {LONGEST}"
            )
        return self

    @property
    def every(self) -> timedelta:
        return timedelta(seconds=self.schedule.every_seconds)

    @property
    def horizon(self) -> timedelta:
        """From the instant to the moment its truth is known."""
        seconds = self.schedule.resolve_after_seconds or self.scope_template["horizon_seconds"]
        return timedelta(seconds=seconds)

    def as_slot_config(self) -> dict[str, Any]:
        """What the slots are given as `config`."""
        return self.model_dump(mode="json", exclude={"series"}, exclude_none=True)


class Missing(Strict):
    """What a due forecast costs that did not come."""

    rule: Literal["percentile", "worst", "skip"] = "percentile"
    percentile: int = Field(90, ge=1, le=100)


def _series_of(config: PredictionConfig, listed: list[SeriesSpec]) -> list[SeriesSpec]:
    if config.series is not None:
        return config.series
    return [spec for spec in listed if spec.asset == config.scope_template.get("asset")]


def _fits(config: PredictionConfig, info: ValidationInfo) -> PredictionConfig:
    """The config against what the pack says of series and deadline, where that is valid itself."""
    listed, deadline = info.data.get("series"), info.data.get("answer_deadline")
    horizon = config.horizon.total_seconds()
    faults: list[Fault] = []
    asset = config.scope_template.get("asset")
    if config.series is None and listed and asset and not _series_of(config, listed):
        wrong = (
            "has no series: add one to the pack's, or give the config series: [] where its truth comes from elsewhere"
        )
        faults.append((("scope_template", "asset"), asset, wrong))
    for place, spec in enumerate(config.series or []):
        if listed is not None and spec not in listed:
            name = f"{spec.asset}/{spec.kind}/{spec.granularity}"
            faults.append((("series", place), name, "not among the pack's series; add it there, or remove it"))
    for spec in _series_of(config, listed or []):
        if spec.kind == "candle" and granularity_seconds(spec.granularity) > horizon:
            wrong = f"longer than the horizon of {horizon:g} s; use a finer series or a longer horizon"
            faults.append((("series",), f"granularity {spec.granularity}", wrong))
    if deadline is not None and deadline > horizon / 10:
        wrong = f"is more than a tenth of the horizon of {horizon:g} s; set at most {horizon / 10:g}"
        faults.append(((), None, f"answer_deadline = {deadline:g} {wrong}"))
    refuse(faults)
    return config


class Pack(Strict):
    """The whole contract; see `packs/baseline.json`."""

    id: str
    description: str
    checkpoint_interval_seconds: Seconds
    callables: dict[str, str]
    series: list[SeriesSpec]
    answer_deadline: float | None = Field(None, gt=0)
    scheduled_prediction_configs: list[Annotated[PredictionConfig, AfterValidator(_fits)]] = Field(min_length=1)
    missing: Missing = Missing()
    score_direction: Literal["asc", "desc"] = "desc"
    worst_score: float = -500
    min_coverage: float = Field(0.5, ge=0, le=1)
    min_cycles: int = Field(30, ge=0)
    look_back_hours: int = Field(168, ge=1, le=24 * 366)
    input_wait_seconds: float = Field(1, ge=0, le=3600)
    example_output: Json = {"value": 0.001}
    example_truth: JsonObject | None = None  # what the dry run scores where the truth comes from elsewhere

    @field_validator("callables")
    @classmethod
    def _all_ten(cls, value: dict[str, str]) -> dict[str, str]:
        faults = {
            name: f"no slot{nearest(name, SLOT_NAMES)}; rename or remove it" for name in value if name not in SLOT_NAMES
        }
        faults |= {name: "missing; give module:function" for name in SLOT_NAMES if not value.get(name)}
        refuse([((name,), value.get(name), fault) for name, fault in faults.items()])
        return value

    @field_validator("scheduled_prediction_configs")
    @classmethod
    def _told_apart(cls, value: list[PredictionConfig]) -> list[PredictionConfig]:
        ids = [config.id for config in value]
        refuse(
            [
                ((place, "id"), one, "used twice; give each config an id of its own")
                for place, one in enumerate(ids)
                if one in ids[:place]
            ]
        )
        if not any(config.active for config in value):
            raise ValueError("no config is active; set active of one to true")
        return value

    @property
    def configs(self) -> list[PredictionConfig]:
        """The active ones, in their order."""
        active = (config for config in self.scheduled_prediction_configs if config.active)
        return sorted(active, key=lambda config: (config.order, config.id))

    @property
    def look_back(self) -> timedelta:
        return timedelta(hours=self.look_back_hours)

    @property
    def input_wait(self) -> timedelta:
        return timedelta(seconds=self.input_wait_seconds)

    def series_of(self, config: PredictionConfig) -> list[SeriesSpec]:
        """What a config needs: its own list, or its asset's series of the pack; the first gives the truth."""
        return _series_of(config, self.series)

    def deadline(self, config: PredictionConfig) -> timedelta:
        """How long after the cut-off an answer counts."""
        if self.answer_deadline is not None:
            return timedelta(seconds=self.answer_deadline)
        shortest = min(one.horizon for one in self.configs)
        return min(config.every / 2, shortest / 10)


def available_packs() -> dict[str, Path]:
    """The packs that come along, by id."""
    folder = resources.files("packs")
    paths = (Path(str(entry)) for entry in folder.iterdir() if entry.name.endswith(".json"))
    return {path.stem: path for path in sorted(paths)}


def read_pack(name: str, overrides: dict[str, Any] | None = None, overrides_from: str = "") -> Pack:
    """The pack of that id, or the one in that file; `overrides` replace its top-level fields.

    Raises UserErrors with every fault: file, field, value, remedy.
    """
    known = available_packs()
    path = Path(name) if name.endswith(".json") else known.get(name)
    if path is None or not path.is_file():
        raise UserErrors(
            [f"PACK={name}: no such pack{nearest(name, known)}; known: {', '.join(known)}, or the path of a .json file"]
        )
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise UserErrors([f"{path}: not JSON: {error}; mend the file"]) from None
    if not isinstance(content, dict):
        raise UserErrors([f"{path}: must be a JSON object, found {type(content).__name__}"])
    own, others = content.get("callables"), (overrides or {}).get("callables")
    content |= overrides or {}
    if isinstance(own, dict) and isinstance(others, dict):
        content["callables"] = own | others
    try:
        return Pack.model_validate(content)
    except ValidationError as error:
        where = f"{path} with {overrides_from}" if overrides else str(path)
        raise UserErrors(pydantic_faults(where, error, Pack)) from None
