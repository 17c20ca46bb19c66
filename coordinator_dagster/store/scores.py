"""`scores`, one per forecast and version, and their `score_rollups` per hour."""

import math
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, text

from coordinator_dagster.stages.facts import ScoreRow, Unscored
from coordinator_dagster.store.database import Database
from coordinator_dagster.store.truths import IN_WINDOWS, performed_since, settling
from coordinator_dagster.windows import Window
from slots.views import Rollup, Score, ScoredPrediction

COLUMNS = (
    "model_id",
    "prediction_config_id",
    "scope_key",
    "performed_at",
    "resolvable_at",
    "version",
    "status",
    "score_value",
    "score_success",
    "score_failed_reason",
    "due",
    "answered",
)
ROLLUP_COLUMNS = (
    "version",
    "model_id",
    "scope_key",
    "window_start",
    "window_end",
    "due",
    "answered",
    "scored",
    "charged",
    "score_sum",
    "score_sum_squares",
)

# Lateral: as a join, a server without statistics reads all of history for every window.
SUMMED = (
    "select model_id, scope_key, w.start, w.until, due, answered, scored, charged, values "
    "from unnest(cast(:starts as timestamptz[]), cast(:ends as timestamptz[])) w(start, until) cross join lateral ("
    " select model_id, scope_key, count(*) filter (where due) as due, "
    "  count(*) filter (where due and answered) as answered, count(score_value) as scored, "
    "  count(*) filter (where status = 'CHARGED') as charged, "
    "  coalesce(array_agg(score_value) filter (where score_value is not null), '{}') as values "
    " from scores where version = :version and resolvable_at > w.start and resolvable_at <= w.until "
    " group by model_id, scope_key) summed"
)


class ScoreTables:
    def __init__(self, database: Database) -> None:
        self._database = database

    def unscored(self, windows: Sequence[Window], truth_version: str, version: str) -> list[Unscored]:
        """The forecasts of settled cycles without a score in this version, by time, config and model."""
        rows = self._database.read(
            "select f.model_id, f.prediction_config_id, f.scope_key, f.scope_jsonb, f.performed_at, "
            " f.resolvable_at, f.status, f.inference_output_jsonb, c.status as truth_status, "
            " c.reason, c.truth_jsonb "
            "from ground_truths c join forecasts f on f.performed_at = c.performed_at "
            " and f.prediction_config_id = c.prediction_config_id "
            "left join scores s on s.performed_at = f.performed_at "
            " and s.prediction_config_id = f.prediction_config_id and s.model_id = f.model_id "
            " and s.version = :version "
            f"where {IN_WINDOWS} and c.version = :truth_version and s.version is null "
            "order by f.performed_at, f.prediction_config_id, f.model_id",
            **settling(windows),
            truth_version=truth_version,
            version=version,
        )
        return [Unscored(*row) for row in rows]

    def add(self, scores: Sequence[ScoreRow], version: str, touched: Sequence[Window]) -> None:
        """Store scores, ordered by time, and renew the rollups of the windows they fall in: both or neither."""
        first, last = scores[0].forecast.performed_at, scores[-1].forecast.performed_at
        self._database.ensure_months("scores", first, last)
        with self._database.transaction() as connection:
            # Two settlers may meet in a window: the sums of each must hold the scores of both.
            self._database.lock(connection, "scores")
            self._database.copy_new(
                connection,
                "scores",
                COLUMNS,
                (
                    (
                        one.forecast.model_id,
                        one.forecast.config_id,
                        one.forecast.scope_key,
                        one.forecast.performed_at,
                        one.forecast.resolvable_at,
                        version,
                        one.status,
                        one.value,
                        one.success,
                        one.reason,
                        one.due,
                        one.answered,
                    )
                    for one in scores
                ),
            )
            self._renew_rollups(connection, touched, version)

    def _renew_rollups(self, connection: Connection, windows: Sequence[Window], version: str) -> None:
        """The sums are made here: those of PostgreSQL would depend on the order of the scores."""
        starts, ends = [one.start for one in windows], [one.end for one in windows]
        connection.execute(
            text("delete from score_rollups where version = :version and window_end = any(:ends)"),
            {"version": version, "ends": ends},
        )
        rows = connection.execute(text(SUMMED), {"version": version, "starts": starts, "ends": ends})
        self._database.copy(
            connection,
            "score_rollups",
            ROLLUP_COLUMNS,
            (
                (version, *counted, math.fsum(values), math.fsum(value * value for value in values))
                for *counted, values in rows
            ),
        )

    def rollups(self, after: datetime, until: datetime, version: str) -> list[Rollup]:
        """The rollups of the windows that end in `(after, until]`, by model, scope and time."""
        rows = self._database.read(
            "select model_id, scope_key, window_start, window_end, due, answered, scored, charged, score_sum, "
            " score_sum_squares from score_rollups "
            "where version = :version and window_end > :after and window_end <= :until "
            "order by model_id, scope_key, window_end",
            version=version,
            after=after,
            until=until,
        )
        return [Rollup(*row) for row in rows]

    def scored_predictions(self, after: datetime, until: datetime, version: str) -> list[ScoredPrediction]:
        """Every score with a value resolvable in `(after, until]`, by time, config and model."""
        rows = self._database.read(
            "select s.model_id, s.scope_key, f.scope_jsonb, f.status, s.performed_at, "
            " f.inference_output_jsonb, s.score_value, s.score_success, s.score_failed_reason, "
            " s.score_scored_at from scores s join forecasts f on f.performed_at = s.performed_at "
            " and f.prediction_config_id = s.prediction_config_id and f.model_id = s.model_id "
            "where s.version = :version and s.resolvable_at > :after and s.resolvable_at <= :until "
            " and s.status <> 'EXEMPT' and f.performed_at >= :since and f.performed_at < :until "
            "order by s.performed_at, s.prediction_config_id, s.model_id",
            version=version,
            after=after,
            until=until,
            since=performed_since(self._database, after, until),
        )
        return [
            ScoredPrediction(
                model_id=row.model_id,
                scope_key=row.scope_key,
                scope=row.scope_jsonb,
                status=row.status,
                performed_at=row.performed_at,
                inference_output=row.inference_output_jsonb,
                score=Score(row.score_value, row.score_success, row.score_failed_reason, row.score_scored_at),
            )
            for row in rows
        ]
