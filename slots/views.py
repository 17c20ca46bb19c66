"""Read-only views that slots are given; attributes as in the original coordinator."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class CyclePrediction:
    """A cycle, for its truth: what was asked and when; no model, for there is one truth for all."""

    scope_key: str
    scope: Mapping[str, Any]
    performed_at: datetime
    resolvable_at: datetime
    prediction_config_id: str
    meta: Mapping[str, Any]
    read_input: Callable[[], dict[str, Any]]

    @cached_property
    def inference_input(self) -> dict[str, Any]:
        """The input of the instant, read when it is first asked for."""
        return self.read_input()


@dataclass(frozen=True, slots=True)
class Score:
    """`value` is None where the score did not succeed; a charge is a success with a reason."""

    value: float | None
    success: bool
    failed_reason: str | None
    scored_at: datetime


@dataclass(frozen=True, slots=True)
class ScoredPrediction:
    """One model's forecast with its score."""

    model_id: str
    scope_key: str
    scope: Mapping[str, Any]
    status: str
    performed_at: datetime
    inference_output: Mapping[str, Any] | None
    score: Score


@dataclass(frozen=True, slots=True)
class ModelView:
    """A model's name and its player's."""

    name: str
    player_name: str


@dataclass(frozen=True, slots=True)
class Rollup:
    """The scores of one model and scope whose truth fell in `(window_start, window_end]`.

    `due` cycles had to be answered and `answered` were; `total` and `total_squares` sum the `scored` values,
    of which `charged` are charges for absence.
    """

    model_id: str
    scope_key: str
    window_start: datetime
    window_end: datetime
    due: int
    answered: int
    scored: int
    charged: int
    total: float
    total_squares: float
