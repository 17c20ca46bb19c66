"""A node tried as it is: its pack, slots and models, over a simulated market, in a schema that is dropped again."""

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from coordinator_dagster.competition import Competition
from coordinator_dagster.errors import UserError
from coordinator_dagster.packs import PredictionConfig
from coordinator_dagster.runners.submission import plain
from coordinator_dagster.runtime import Runtime, open_runtime
from coordinator_dagster.stages.facts import StageFailed
from coordinator_dagster.stages.report import provide_report_schema
from coordinator_dagster.store.store import database_url
from coordinator_dagster.store.trial import first_truth, forecasts, trial_schema
from coordinator_dagster.windows import LENGTHS, Window
from slots.tape import boundary

INSTANTS = 3
HOUR = LENGTHS["hour"]
SHOWN = 240  # characters of an answer or a truth


class Trial:
    """The first instants of the config whose truth comes soonest, asked and settled. Its parts are closed by `kept`.

    Of recent hours, since slots may look at the world as it is. The competition's own schema is not touched.
    """

    def __init__(self, competition: Competition, now: datetime, kept: ExitStack) -> None:
        self._kept = kept
        self._config = soonest(competition)
        self._market = bool(competition.pack.series_of(self._config))
        self._first, self._windows = _when(self._config, now, self._market)
        self._made = scratch(competition, self._windows[0].start, self._first + INSTANTS * self._config.every)
        self._runtime: Runtime | None = None

    def cycle(self) -> str:
        """Ask the models; what they forecast. UserError when no cycle was performed, or nobody answered."""
        runtime = self._open()
        runtime.ingest(self._windows)
        built = runtime.build_inputs(self._windows)
        performed = runtime.predict(self._windows).performed
        if not performed:
            raise UserError(f"no cycle was performed: {built.reason}; look at the pack {self._made.pack.id}")
        found = forecasts(runtime.store.database)
        self._refuse_silence(found)
        own = [
            f"{one.model_id} {_short(one.output) if one.status == 'SUCCESS' else _why(one)}" for one in self._own(found)
        ]
        counted = ", ".join(f"{count} {status}" for status, count in sorted(Counter(f.status for f in found).items()))
        market = "on simulated prices" if self._market else "without a market"
        return "\n".join([f"{performed} cycles performed {market}: {counted}", f"{self._cycle}:", *own])

    def settle(self) -> str:
        """Truths, scores and a board of that; UserError or StageFailed for what does not come."""
        assert self._runtime, "a cycle comes first"
        runtime, windows = self._runtime, self._windows
        provide_report_schema(self._made, runtime.store)
        resolved = runtime.resolve(windows)
        truth = first_truth(runtime.store.database, self._config.id, self._first)
        if truth is None and not self._market:
            return f"the truth comes from elsewhere: {resolved.pending} cycles wait for it, so nothing is scored yet"
        if truth is None or truth.status != "RESOLVED":
            why = resolved.reason if truth is None else truth.reason
            raise UserError(f"{self._cycle}: no truth: {why}; look at {self._made.slot_paths['GROUND_TRUTH_RESOLVER']}")
        scored = runtime.score(windows)
        if scored.slot_failures:
            raise StageFailed("scores", [scored.first_failure or ""])
        runtime.aggregate(windows)
        runtime.rank(windows)
        scores = ", ".join(f"{one.model_id} {_score(one)}" for one in self._own(forecasts(runtime.store.database)))
        return "\n".join([f"{self._cycle}: truth {_short(truth.truth)}", f"scores: {scores}", self._board(runtime)])

    @property
    def _cycle(self) -> str:
        return f"{self._config.id} at {self._first:%Y-%m-%d %H:%M:%S} UTC"

    def _open(self) -> Runtime:
        made = self._made
        self._kept.callback(shutil.rmtree, made.model_logs, ignore_errors=True)
        self._kept.enter_context(trial_schema(database_url(made), made.schema))
        self._runtime = self._kept.enter_context(open_runtime(made))
        return self._runtime

    def _own(self, found: Sequence[Any]) -> list[Any]:
        """The forecasts of the first cycle."""
        wanted = self._first, self._config.id
        return [one for one in found if (one.performed_at, one.prediction_config_id) == wanted]

    def _refuse_silence(self, found: Sequence[Any]) -> None:
        if any(one.status == "SUCCESS" for one in found):
            return
        local = self._made.settings.model_runner == "local"
        remedy = "`coordinator models check ID` shows why" if local else "look at the models' logs at the orchestrator"
        why = f"{found[0].model_id}: {_why(found[0])}" if found else "there is none"
        raise UserError(f"{self._cycle}: no model answered ({why}); {remedy}")

    def _board(self, runtime: Runtime) -> str:
        board = runtime.store.boards.latest_leaderboard()
        if board is None or not board.entries_jsonb:
            raise UserError(f"there is no board; look at {self._made.slot_paths['LEADERBOARD_RANKER']}")
        listed = [
            f"#{entry['rank']} {entry['model_id']}" if entry["rank"] else f"{entry['model_id']} unranked"
            for entry in board.entries_jsonb
        ]
        return f"board: {', '.join(listed)}"


def soonest(competition: Competition) -> PredictionConfig:
    """The config whose truth comes soonest; one with a market, where there is one."""
    pack = competition.pack
    return min(pack.configs, key=lambda one: (not pack.series_of(one), one.horizon + one.every))


def scratch(competition: Competition, start: datetime, end: datetime) -> Competition:
    """The competition as a replay from `start` to `end` over a simulated market, in a schema of its own."""
    settings = competition.settings
    chosen = {
        "competition": f"{settings.competition}-verify",
        "mode": "replay",
        "window": "hour",
        "competition_start": start,
        "competition_end": end,
        "feed_provider": "simulated",
        "feed_assets": [],
        "clock_url": None,
        # A node that fails here must not be stopped by the orchestrator for it.
        "model_runner_client_max_failures": 0,
        "model_runner_client_max_timeouts": 0,
    }
    # So few cycles make nobody ranked otherwise, and the ranker would have nothing to do.
    pack = competition.pack.model_copy(update={"min_cycles": min(1, competition.pack.min_cycles)})
    return replace(competition, settings=settings.model_copy(update=chosen), pack=pack)


def _when(config: PredictionConfig, now: datetime, market: bool) -> tuple[datetime, list[Window]]:
    """The first instant, and the hours to run: over by `now`, as few as hold its truth, where a market tells it."""
    horizon = config.horizon if market else timedelta(0)
    latest = boundary(now, HOUR) - max(horizon, config.every)
    start = boundary(boundary(latest, config.every), HOUR)
    first = boundary(start + config.every - timedelta(microseconds=1), config.every)
    hours = max(1, -((start - first - horizon) // HOUR))
    return first, [Window(start + n * HOUR, start + (n + 1) * HOUR) for n in range(hours)]


def _short(value: Any) -> str:
    return f"{json.dumps(value):.{SHOWN}}"


def _why(forecast: Any) -> str:
    return f"{forecast.status}: {plain(forecast.reason or 'no reason is known')}"


def _score(forecast: Any) -> str:
    if forecast.score_value is None:
        return f"none ({plain(forecast.score_failed_reason or 'not scored')})"
    return f"{forecast.score_value:g}"
