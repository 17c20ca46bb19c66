"""A pack: one competition's contract as flat JSON. `packs/<id>.json` holds the three that come along."""

import difflib
import json
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, model_validator

from coordinator_dagster.errors import UserErrors
from slots.contracts import SLOT_NAMES
from slots.market import Kind, granularity_seconds

Seconds = Annotated[int, Field(gt=0)]


class Strict(BaseModel):
    """Unknown keys, NaN and silent conversions are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class SeriesSpec(Strict):
    """A series the contest needs; the feed says which provider serves it."""

    asset: str
    kind: Kind
    granularity: str

    @model_validator(mode="after")
    def _granularity_is_one(self) -> "SeriesSpec":
        granularity_seconds(self.granularity)
        return self


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
    scope_template: dict[str, Any]
    schedule: Schedule
    active: bool = True
    order: int = 0
    meta: dict[str, Any] = {}
    series: list[SeriesSpec] | None = None

    @model_validator(mode="after")
    def _has_a_horizon(self) -> "PredictionConfig":
        found = self.schedule.resolve_after_seconds or self.scope_template.get("horizon_seconds")
        if not isinstance(found, int) or isinstance(found, bool) or found <= 0:
            raise ValueError(
                "no horizon: give scope_template.horizon_seconds or schedule.resolve_after_seconds, "
                "a whole number of seconds above 0"
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


class Pack(Strict):
    """The whole contract; see `packs/baseline.json`."""

    id: str
    description: str
    checkpoint_interval_seconds: Seconds
    callables: dict[str, str]
    series: list[SeriesSpec]
    scheduled_prediction_configs: list[PredictionConfig] = Field(min_length=1)
    answer_deadline: float | None = Field(None, gt=0)
    missing: Missing = Missing()
    score_direction: Literal["asc", "desc"] = "desc"
    worst_score: float = -500
    min_coverage: float = Field(0.5, ge=0, le=1)
    min_cycles: int = Field(30, ge=0)
    look_back_hours: int = Field(168, ge=1, le=24 * 366)
    input_wait_seconds: float = Field(1, ge=0)
    example_output: Any = {"value": 0.001}

    @model_validator(mode="after")
    def _is_whole(self) -> "Pack":
        faults = [f"callables: {name} is missing" for name in SLOT_NAMES if name not in self.callables]
        for name in sorted(set(self.callables) - set(SLOT_NAMES)):
            faults.append(f"callables: {name} is no slot{_nearest(name, SLOT_NAMES)}")
        ids = [config.id for config in self.scheduled_prediction_configs]
        faults += [f"config id {one!r} is used twice" for one in sorted({i for i in ids if ids.count(i) > 1})]
        for config in self.scheduled_prediction_configs:
            faults += self._faults_of(config)
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _faults_of(self, config: PredictionConfig) -> list[str]:
        faults = []
        for spec in config.series or []:
            if spec not in self.series:
                faults.append(
                    f"config {config.id}: series {spec.asset}/{spec.kind}/{spec.granularity} is not "
                    "among the pack's series"
                )
        for spec in self.series_of(config):
            if spec.kind == "candle" and granularity_seconds(spec.granularity) > config.horizon.total_seconds():
                faults.append(
                    f"config {config.id}: granularity {spec.granularity} is longer than the horizon of "
                    f"{config.horizon.total_seconds():g} s; use a finer series or a longer horizon"
                )
        most = config.horizon.total_seconds() / 10
        if self.answer_deadline is not None and self.answer_deadline > most:
            faults.append(
                f"config {config.id}: answer_deadline {self.answer_deadline:g} s is more than a tenth of "
                f"the horizon; at most {most:g}"
            )
        return faults

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
        if config.series is not None:
            return config.series
        return [spec for spec in self.series if spec.asset == config.scope_template.get("asset")]

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
            [
                f"PACK={name}: no such pack{_nearest(name, known)}; known: {', '.join(known)}, "
                "or the path of a .json file"
            ]
        )
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise UserErrors([f"{path}: not JSON: {error}; mend the file"]) from None
    if not isinstance(content, dict):
        raise UserErrors([f"{path}: must be a JSON object, found {type(content).__name__}"])
    callables = {**content.get("callables", {}), **(overrides or {}).get("callables", {})}
    content = {**content, **(overrides or {}), "callables": callables}
    try:
        return Pack.model_validate(content)
    except ValidationError as error:
        where = f"{path} with {overrides_from}" if overrides else str(path)
        raise UserErrors(pydantic_faults(where, error, Pack.model_fields)) from None


def pydantic_faults(where: str, error: ValidationError, fields: Any) -> list[str]:
    """A line a fault: file, field, value, what is wrong, and the nearest field for an unknown one."""
    faults = []
    for item in error.errors():
        field = ".".join(str(part) for part in item["loc"]) or "(whole)"
        value = (
            ""
            if item["type"] in ("missing", "value_error") and isinstance(item["input"], dict)
            else (f" = {item['input']!r:.80}")
        )
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            message = f"unknown field{_nearest(str(item['loc'][-1]), fields)}; remove it"
        faults.append(f"{where}: {field}{value}: {message}")
    return faults


def _nearest(name: str, known: Any) -> str:
    found = difflib.get_close_matches(name, list(known), 1, 0.5)
    return f" (did you mean {found[0]}?)" if found else ""
