"""What is stored of one model at one instant: the rows that explain a score."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from coordinator_dagster.store.database import Database
from coordinator_dagster.store.tape import KEY, series_key
from slots.market import Series

Record = dict[str, Any]
OF_CYCLE = "{0}.prediction_config_id = :config and {0}.performed_at = :at"
ORDER = (
    "case when o.id is not null then jsonb_build_object('id', o.id, 'kind', o.kind, 'reason', o.reason, "
    "'given_by', o.given_by, 'given_at', o.given_at) end as \"order\""
)
TRUTH = "g.version, g.status, g.reason, g.truth_jsonb as content, g.external, g.given_up, g.resolved_at"
SCORE = (
    "s.version, s.status, s.score_value as value, s.score_success as success, s.score_failed_reason as reason, "
    "s.due, s.answered, s.score_scored_at as scored_at"
)


class Evidence:
    """Read only; every row comes as a dict."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def model(self, model_id: str) -> Record | None:
        """The model as it is known now."""
        return self._one(
            "select m.id, m.name, m.player_id, m.player_name, m.deployment_identifier as deployment, m.joined_at, "
            " s.state, s.reason as state_reason, s.since as state_since, "
            " s.until as state_until "
            "from models m join model_states s on s.model_id = m.id where m.id = :id",
            id=model_id,
        )

    def model_ids(self) -> list[str]:
        return [row["id"] for row in self._rows("select id from models order by id")]

    def configs(self) -> list[str]:
        """The ids that the versions of a config share."""
        return [row["id"] for row in self._rows("select distinct base_id as id from scheduled_prediction_configs")]

    def cycles(self, at: datetime, config: str | None) -> list[Record]:
        """The cycles at that instant in the configs' order; `config` may name a version or all of them."""
        return self._rows(
            "select c.prediction_config_id as config_id, k.base_id, c.scope_key, c.scope_jsonb as scope, c.status, "
            " c.reason, c.performed_at, c.resolvable_at, c.cut_off, c.answer_by, c.meta_jsonb->'call' as call "
            "from cycles c join scheduled_prediction_configs k on k.id = c.prediction_config_id "
            "where c.performed_at = :at and (cast(:config as text) is null or :config in (k.id, k.base_id)) "
            'order by k."order", k.id',
            at=at,
            config=config,
        )

    def neighbours(self, at: datetime, config: str | None) -> list[datetime]:
        """The instants before and after that one which have a cycle."""

        def nearest(beyond: str, order: str) -> str:
            return (
                "(select performed_at from cycles c join scheduled_prediction_configs k on k.id = "
                f"c.prediction_config_id where performed_at {beyond} :at and (cast(:config as text) is null or "
                f":config in (k.id, k.base_id)) order by performed_at {order} limit 1)"
            )

        rows = self._rows(f"{nearest('<', 'desc')} union all {nearest('>', 'asc')}", at=at, config=config)
        return [row["performed_at"] for row in rows]

    def given(self, at: datetime) -> Record | None:
        """What every model was given at that instant; `bytes` as it was sent."""
        return self._one(
            "select cut_off, created_at as built_at, octet_length(payload_jsonb::text) as bytes, "
            " payload_jsonb as payload from inference_inputs where performed_at = :at",
            at=at,
        )

    def forecast(self, cycle: Record, model_id: str) -> Record | None:
        return self._one(
            "select status, asked_at, answered_at, exec_time_ms, queued_ms, deployment, "
            " inference_output_jsonb as output, meta_jsonb->>'reason' as reason, meta_jsonb->>'raw' as raw, "
            " meta_jsonb->'suspension' as suspension "
            f"from forecasts f where {OF_CYCLE.format('f')} and model_id = :model",
            **_of(cycle),
            model=model_id,
        )

    def truths(self, cycle: Record) -> list[Record]:
        """The cycle's truths in every version, the newest first, each with the order it follows."""
        return self._rows(
            f"select {TRUTH}, {ORDER} from ground_truths g left join operator_orders o on o.id = g.order_id "
            f"where {OF_CYCLE.format('g')} order by g.resolved_at desc, g.version",
            **_of(cycle),
        )

    def scores(self, cycle: Record, model_id: str) -> list[Record]:
        """The model's scores in every version: the one shown first, then the newest."""
        return self._rows(
            f"select {SCORE} from scores s left join slot_versions v on v.version = s.version "
            f"where {OF_CYCLE.format('s')} and model_id = :model "
            "order by coalesce(v.current, false) desc, s.score_scored_at desc, s.version",
            **_of(cycle),
            model=model_id,
        )

    def answered_scores(self, cycle: Record, version: str) -> list[Record]:
        """The scores of the models that answered in the cycle."""
        return self._rows(
            "select model_id, score_value as value from scores s "
            f"where {OF_CYCLE.format('s')} and version = :version and status = 'SCORED' order by model_id",
            **_of(cycle),
            version=version,
        )

    def superseded(self, cycle: Record, model_id: str) -> dict[str, list[Record]]:
        """Truths and scores that counted until an order, with that order."""
        truths = self._rows(
            f"select {TRUTH}, g.superseded_at, {ORDER} from superseded_truths g "
            "join operator_orders o on o.id = g.superseded_by "
            f"where {OF_CYCLE.format('g')} order by g.superseded_at, g.version",
            **_of(cycle),
        )
        scores = self._rows(
            f"select {SCORE}, s.superseded_at, {ORDER} from superseded_scores s "
            "join operator_orders o on o.id = s.superseded_by "
            f"where {OF_CYCLE.format('s')} and s.model_id = :model order by s.superseded_at, s.version",
            **_of(cycle),
            model=model_id,
        )
        return {"truths": truths, "scores": scores}

    def version(self, version: str | None) -> Record | None:
        """A version of the slots; None: the one that is shown."""
        return self._one(
            "select version, current as shown, first_used_at, detail_jsonb as detail from slot_versions "
            "where case when cast(:version as text) is null then current else version = :version end",
            version=version,
        )

    def board(self, window_start: datetime, version: str, model_id: str) -> Record | None:
        """A window's board, and the model's entry on it."""
        return self._one(
            "select window_start, computed_at, created_at, final, (select entry from "
            " jsonb_array_elements(entries_jsonb) entry where entry->>'model_id' = :model) as entry "
            "from leaderboards where window_start = :start and version = :version",
            start=window_start,
            version=version,
            model=model_id,
        )

    def listed(self, asset: str, kind: str, granularity: str) -> list[tuple[Series, datetime | None]]:
        """The series of that asset on the tape, whoever provides it, each with how far it is complete."""
        rows = self._rows(
            "select provider, asset, kind, granularity, complete_through from market_ingestion_state "
            "where asset = :asset and kind = :kind and granularity = :granularity order by provider",
            asset=asset,
            kind=kind,
            granularity=granularity,
        )
        return [(Series(*list(row.values())[:4]), row["complete_through"]) for row in rows]

    def last_record(self, series: Series, at: datetime) -> Record | None:
        """The newest record that was over by then."""
        return self._one(
            "select ts_event, event_end, known_at, ts_ingested, values_jsonb as values, meta_jsonb as meta "
            f"from market_records where {KEY} and ts_event <= :last order by ts_event desc limit 1",
            **series_key(series),
            last=at - series.step,
        )

    def restatements(self, series: Series, ts_event: datetime) -> list[Record]:
        """What the venue said of a record later; none of it counts."""
        return self._rows(
            "select values_jsonb as values, first_values_jsonb as first_values, seen_at from market_restatements "
            f"where {KEY} and ts_event = :ts_event order by seen_at, id",
            **series_key(series),
            ts_event=ts_event,
        )

    def corrections(self, series: Series, ts_event: datetime) -> list[Record]:
        """The operator's corrections of a record, oldest first: the last one counts."""
        return self._rows(
            "select id, reason, given_by, given_at, detail_jsonb->'values' as values from operator_orders "
            "where kind = 'correct' and effective_at = :ts_event and detail_jsonb->>'series' = :series order by id",
            ts_event=ts_event,
            series=str(series),
        )

    def gap(self, series: Series, ts_event: datetime) -> Record | None:
        """The gap that a missing record is in."""
        return self._one(
            f"select gap_start, gap_end, state, reason from market_gaps where {KEY} "
            "and gap_start <= :ts_event and gap_end > :ts_event order by updated_at desc limit 1",
            **series_key(series),
            ts_event=ts_event,
        )

    def archived_in(self, series: Series, at: datetime) -> str | None:
        """The file below the archive folder that has that day of a series, once it has left the tape by age."""
        found = self._one(
            f"select path from tape_archives, tape_expired where {KEY} and day = cast(:at as date) and :at < through",
            **series_key(series),
            at=at,
        )
        return found["path"] if found else None

    def _rows(self, sql: str, **parameters: Any) -> list[Record]:
        return [dict(row._mapping) for row in self._database.read(sql, **parameters)]

    def _one(self, sql: str, **parameters: Any) -> Record | None:
        rows: Sequence[Record] = self._rows(sql, **parameters)
        return rows[0] if rows else None


def _of(cycle: Record) -> dict[str, Any]:
    return {"config": cycle["config_id"], "at": cycle["performed_at"]}
