"""Slots that an operator keeps to himself, and what is left of a backtest without them."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from coordinator_dagster.competition import Competition
from coordinator_dagster.errors import UserErrors
from coordinator_dagster.faults import nearest
from slots.contracts import CONTRACTS
from slots.loader import SlotPath

NEEDED = ("RAW_INPUT_PROVIDER", "INFERENCE_INPUT_BUILDER", "PREDICTION_SCOPE_BUILDER", "PREDICT_CALL_BUILDER")
TRUTH, SCORE, BOARD = "GROUND_TRUTH_RESOLVER", "SCORING_FUNCTION", ("MODEL_SCORE_AGGREGATOR", "LEADERBOARD_RANKER")
WITHOUT = {
    "INFERENCE_OUTPUT_VALIDATOR": "any JSON object is taken as an answer, and in the contest some may fail",
    TRUTH: "nothing has a truth or a score, and there is no leaderboard",
    SCORE: "nothing has a score, and there is no leaderboard",
    **dict.fromkeys(BOARD, "there is no leaderboard"),
}


@dataclass(frozen=True)
class Public:
    """The competition without its private slots: what can be done, and a sentence for each that is left out."""

    competition: Competition
    resolves: bool
    scores: bool
    ranks: bool
    left_out: list[str]


def without(competition: Competition, private: Collection[str]) -> Public:
    """Stand-ins take the place of private slots; UserErrors where no forecast can be made without one."""
    faults = [f"{one}: there is no such slot{nearest(one, CONTRACTS)}" for one in private if one not in CONTRACTS]
    faults += [
        f"{name} is private ({CONTRACTS[name].summary.rstrip('.')}): without it nobody knows what models are asked, "
        "and a backtest is impossible; ask the operator to publish it"
        for name in NEEDED
        if name in private
    ]
    if faults:
        raise UserErrors(faults)
    paths = {name: SlotPath(name, f"{__name__}:{_stand_in(name)}", "backtest") for name in private}
    resolves = TRUTH not in private
    scores = resolves and SCORE not in private
    return Public(
        replace(competition, slot_paths={**competition.slot_paths, **paths}),
        resolves,
        scores,
        ranks=scores and not any(one in private for one in BOARD),
        left_out=[f"{name} is private: {why}" for name, why in WITHOUT.items() if name in private],
    )


def _stand_in(name: str) -> str:
    return (take_object if name == "INFERENCE_OUTPUT_VALIDATOR" else never_called).__name__


def take_object(inference_output: Any) -> dict[str, Any]:
    """Every JSON object is an answer."""
    if not isinstance(inference_output, dict):
        raise ValueError(f"the answer must be a JSON object, got {inference_output!r:.80}")
    return inference_output


def never_called() -> None:
    """Versions are made of all the slots that settle: it only has to be there."""
    raise NotImplementedError
