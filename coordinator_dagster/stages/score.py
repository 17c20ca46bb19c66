"""Score every forecast of a settled cycle, charge absences, and keep the sums per window."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from coordinator_dagster.competition import Competition
from coordinator_dagster.packs import Pack
from coordinator_dagster.stages.facts import ScoreRow, Unscored
from coordinator_dagster.stages.numbers import LARGEST_SCORE, is_score
from coordinator_dagster.windows import Window
from slots.loader import Slot, SlotFailure

if TYPE_CHECKING:
    from coordinator_dagster.store.store import Store

FEWEST_FOR_PERCENTILE = 3


@dataclass
class ScoreReport:
    """Forecasts scored, charged and exempt now; where the scoring slot failed they are charged or exempt.

    `touched`: the windows whose boards they count for first.
    """

    touched: list[Window] = field(default_factory=list)
    scored: int = 0
    charged: int = 0
    exempt: int = 0
    slot_failures: int = 0
    first_failure: str | None = None


def score(competition: Competition, store: Store, windows: Sequence[Window]) -> ScoreReport:
    """Score what these windows settled and has no score yet, and renew the rollups it falls in."""
    slot = competition.slots("SCORING_FUNCTION")["SCORING_FUNCTION"]
    version = competition.score_version()
    forecasts = store.scores.unscored(windows, competition.truth_version(), version)
    report = ScoreReport()
    if not forecasts:
        return report
    scores: list[ScoreRow] = []
    touched: set[Window] = set()
    for _, group in groupby(forecasts, key=attrgetter("performed_at", "config_id")):
        cycle = list(group)
        scores += _score_cycle(competition.pack, slot, cycle, report)
        touched.add(competition.windows.resolving(cycle[0].resolvable_at))
    report.touched = sorted(touched)
    store.scores.add(scores, version, report.touched)
    count = Counter(one.status for one in scores)
    report.scored, report.charged, report.exempt = count["SCORED"], count["CHARGED"], count["EXEMPT"]
    return report


def _score_cycle(pack: Pack, slot: Slot, cycle: Sequence[Unscored], report: ScoreReport) -> list[ScoreRow]:
    """The answered forecasts by the slot, the rest by the pack's `missing` rule; in the order given."""
    found = {one.model_id: _score_answer(slot, one) for one in cycle if _counts(one)}
    values = [one.value for one in found.values() if isinstance(one, ScoreRow) and one.value is not None]
    scores = []
    for forecast in cycle:
        score = found.get(forecast.model_id) or _absence(pack, forecast, values)
        if isinstance(score, str):
            report.slot_failures += 1
            report.first_failure = report.first_failure or score
            score = _without_score(pack, forecast, score, values)
        scores.append(score)
    return scores


def _counts(forecast: Unscored) -> bool:
    return forecast.truth_status == "RESOLVED" and forecast.status == "SUCCESS"


def _score_answer(slot: Slot, forecast: Unscored) -> ScoreRow | str:
    """The answer's score, or why the slot gave none."""
    try:
        found = slot(prediction=forecast.output, ground_truth=forecast.truth, scope=forecast.scope)
        value, success = found["value"], bool(found["success"])
    except (SlotFailure, LookupError, TypeError) as failure:
        return str(failure)
    if not success:
        reason = str(found.get("failed_reason"))
        return ScoreRow(forecast, "EXEMPT", None, False, reason, due=True, answered=True)
    if not is_score(value):
        return f"{slot.at}: value is {value!r}, not a finite number of at most {LARGEST_SCORE:g}"
    return ScoreRow(forecast, "SCORED", float(value), True, None, due=True, answered=True)


def _without_score(pack: Pack, forecast: Unscored, failure: str, values: Sequence[float]) -> ScoreRow:
    """An answer that the slot could not score: where it scored others of the cycle, the answer is at fault.

    Else an answer like 1e305 would be silence that costs nothing. Where it scored nobody, the fault is ours.
    """
    if not values:
        return ScoreRow(forecast, "EXEMPT", None, False, f"the scorer failed: {failure}", due=False, answered=True)
    return _charged(pack, forecast, f"no score, {failure}", values, answered=True)


def _absence(pack: Pack, forecast: Unscored, values: Sequence[float]) -> ScoreRow:
    """What a forecast costs that did not come, or came to nothing."""
    if forecast.truth_status == "VOID":
        reason = f"VOID: {forecast.truth_reason}"
        return ScoreRow(forecast, "EXEMPT", None, False, reason, due=False, answered=forecast.status == "SUCCESS")
    if forecast.status == "PLATFORM_FAULT":
        return ScoreRow(forecast, "EXEMPT", None, False, "not charged: our fault", due=False, answered=False)
    return _charged(pack, forecast, forecast.status, values, answered=False)


def _charged(pack: Pack, forecast: Unscored, cause: str, values: Sequence[float], answered: bool) -> ScoreRow:
    if pack.missing.rule == "skip":
        return ScoreRow(forecast, "EXEMPT", None, False, f"not charged: {cause}", due=True, answered=answered)
    value, rule = charge(pack, values)
    return ScoreRow(forecast, "CHARGED", value, True, f"CHARGED: {cause}, {rule}", due=True, answered=answered)


def charge(pack: Pack, values: Sequence[float]) -> tuple[float, str]:
    """The cost of an absence, and the rule that gave it.

    `percentile`: of the cycle's answered scores, best to worst, the one at nearest rank; with fewer than
    three, the worst score. Never better than that rank: silence must not beat a bad score.
    """
    if pack.missing.rule == "worst" or len(values) < FEWEST_FOR_PERCENTILE:
        return pack.worst_score, "the worst score"
    best_first = sorted(values, reverse=pack.score_direction == "desc")
    rank = -(-pack.missing.percentile * len(values) // 100)  # rounded up, in whole numbers
    return best_first[rank - 1], f"the {pack.missing.percentile}th percentile of {len(values)} answers"
