"""Truths, scores and their sums by window, in memory."""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from coordinator_dagster.backtest.tables import KeptScore, KeptTruth, Tables, frozen, settled_in, thawed
from coordinator_dagster.clock import Clock
from coordinator_dagster.stages.facts import ScoreRow, Truth, Unresolved, Unscored
from coordinator_dagster.windows import Window
from slots.views import Rollup, Score, ScoredPrediction


class MemoryTruths:
    """One truth for each cycle."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def unresolved(self, windows: Sequence[Window], version: str) -> list[Unresolved]:
        """The cycles of these windows that have no truth, in order of time."""
        found = settled_in(self._tables.unresolved, windows)
        return [Unresolved(replace(one.cycle, scope=thawed(one.scope))) for one in found]

    def add(self, truths: Sequence[Truth], version: str) -> None:
        for one in truths:
            key = (one.cycle.performed_at, one.cycle.config_id)
            kept = self._tables.unresolved.pop(key)
            kept.truth = KeptTruth(one.status, one.reason, frozen(one.content))
            self._tables.unscored[key] = kept


class MemoryScores:
    """One score for each forecast of a cycle that has its truth; all those of a cycle come at once."""

    def __init__(self, tables: Tables, clock: Clock) -> None:
        self._tables, self._clock = tables, clock
        self._rollups: dict[datetime, list[Rollup]] = {}  # by the window's end

    def unscored(self, windows: Sequence[Window], truth_version: str, version: str) -> list[Unscored]:
        """The forecasts of settled cycles without a score, by time, config and model."""
        found = []
        for kept in settled_in(self._tables.unscored, windows):
            cycle, truth = kept.cycle, kept.truth
            assert truth
            found += [
                Unscored(
                    one.model_id,
                    cycle.config_id,
                    cycle.scope_key or "",
                    thawed(kept.scope),
                    cycle.performed_at,
                    cycle.resolvable_at,
                    one.status,
                    thawed(one.output),
                    truth.status,
                    truth.reason,
                    thawed(truth.content),
                )
                for one in kept.forecasts
            ]
        return found

    def add(self, scores: Sequence[ScoreRow], version: str, touched: Sequence[Window]) -> None:
        """Keep scores, and renew the rollups of the windows they fall in."""
        now = self._clock.now()
        for one in scores:
            key = (one.forecast.performed_at, one.forecast.config_id)
            score = KeptScore(one.status, one.value, one.success, one.reason, one.due, one.answered, now)
            self._tables.cycles[key].scores[one.forecast.model_id] = score
            self._tables.unscored.pop(key, None)
        for window in touched:
            self._rollups[window.end] = self._rolled_up(window)

    def _rolled_up(self, window: Window) -> list[Rollup]:
        own: dict[tuple[str, str], list[KeptScore]] = {}
        for kept in self._tables.by_truth[window.end]:
            for model_id, score in kept.scores.items():
                own.setdefault((model_id, kept.cycle.scope_key or ""), []).append(score)
        return [_rollup(*key, window, scores) for key, scores in own.items()]

    def rollups(self, after: datetime, until: datetime, version: str) -> list[Rollup]:
        """The rollups of the windows that end in `(after, until]`, by model, scope and time."""
        found = [one for end, own in self._rollups.items() if after < end <= until for one in own]
        return sorted(found, key=lambda one: (one.model_id, one.scope_key, one.window_end))

    def scored_predictions(self, after: datetime, until: datetime, version: str) -> list[ScoredPrediction]:
        """Every score with a value resolvable in `(after, until]`, by time, config and model."""
        return [
            ScoredPrediction(
                model_id=one.model_id,
                scope_key=kept.cycle.scope_key or "",
                scope=thawed(kept.scope),
                status=one.status,
                performed_at=kept.cycle.performed_at,
                inference_output=thawed(one.output),
                score=Score(score.value, score.success, score.reason, score.at),
            )
            for kept in self._tables.between(after, until)
            for one in kept.forecasts
            if (score := kept.scores.get(one.model_id)) and score.status != "EXEMPT"
        ]


def _rollup(model_id: str, scope_key: str, window: Window, scores: Sequence[KeptScore]) -> Rollup:
    values = [one.value for one in scores if one.value is not None]
    return Rollup(
        model_id,
        scope_key,
        window.start,
        window.end,
        due=sum(one.due for one in scores),
        answered=sum(one.due and one.answered for one in scores),
        scored=len(values),
        charged=sum(one.status == "CHARGED" for one in scores),
        total=math.fsum(values),
        total_squares=math.fsum(one * one for one in values),
    )
