"""Model scores, leaderboards, the version they show, and the report's schema."""

from collections.abc import Mapping, Sequence, Set
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import text

from coordinator_dagster.store.database import Database
from coordinator_dagster.store.truths import performed_since
from coordinator_dagster.windows import Window
from slots.views import ModelView

OF_CYCLE = (
    "{0}.performed_at = c.performed_at and {0}.prediction_config_id = c.prediction_config_id "
    "and {0}.performed_at >= :since and {0}.performed_at < :until"
)
# Cycle `c`, with its truth `g`, has ended: it is MISSED, or has a truth and (all at once) its forecasts their scores.
# `case`, for its order: with `or` the planner looks for scores before and again after the join.
HAS_ENDED = (
    "case when c.status = 'MISSED' then true when g.version is null then false "
    f"else exists (select from scores s where s.version = :version and {OF_CYCLE.format('s')}) "
    f" or not exists (select from forecasts f where {OF_CYCLE.format('f')}) end"
)


class BoardTables:
    def __init__(self, database: Database) -> None:
        self._database = database

    def models(self) -> dict[str, ModelView]:
        """All models by id, in order of id."""
        rows = self._database.read("select id, name, player_name from models order by id")
        return {row.id: ModelView(row.name, row.player_name) for row in rows}

    def scored_windows(self, after: datetime, until: datetime, version: str) -> list[datetime]:
        """The starts of the windows in `(after, until]` that have model scores, or a board on which nobody is."""
        of_them = "where version = :version and window_start > :after and window_start <= :until"
        rows = self._database.read(
            f"select window_start from model_scores {of_them} union select window_start from leaderboards {of_them} "
            "order by 1",
            version=version,
            after=after,
            until=until,
        )
        return [row.window_start for row in rows]

    def put_model_scores(self, boards: Mapping[Window, Sequence[dict[str, Any]]], version: str) -> None:
        """The entries of these windows, one row a model; rows that say the same stay untouched."""
        rows = [(window, entry) for window, entries in boards.items() for entry in entries]
        parameters = {
            "version": version,
            "windows": [window.start for window in boards],
            "starts": [window.start for window, _ in rows],
            "nows": [window.end for window, _ in rows],
            "ids": [entry["model_id"] for _, entry in rows],
            "payloads": [orjson.dumps(entry).decode() for _, entry in rows],
        }
        with self._database.transaction() as connection:
            connection.execute(
                text(
                    "delete from model_scores where version = :version and window_start = any(:windows) "
                    "and (window_start, model_id) not in "
                    " (select * from unnest(cast(:starts as timestamptz[]), cast(:ids as text[])))"
                ),
                parameters,
            )
            connection.execute(
                text(
                    "insert into model_scores (window_start, computed_at, model_id, score_payload_jsonb, version) "
                    "select start, now, id, cast(payload as jsonb), :version "
                    "from unnest(cast(:starts as timestamptz[]), cast(:nows as timestamptz[]), "
                    " cast(:ids as text[]), cast(:payloads as text[])) entry(start, now, id, payload) "
                    "on conflict (window_start, version, model_id) do update "
                    "set score_payload_jsonb = excluded.score_payload_jsonb "
                    "where model_scores.score_payload_jsonb <> excluded.score_payload_jsonb"
                ),
                parameters,
            )

    def model_scores(self, windows: Sequence[Window], version: str) -> dict[datetime, list[dict[str, Any]]]:
        """The entries of each of these windows, by its start; in order of model id."""
        rows = self._database.read(
            "select window_start, score_payload_jsonb from model_scores "
            "where window_start = any(:starts) and version = :version order by window_start, model_id",
            starts=[window.start for window in windows],
            version=version,
        )
        found: dict[datetime, list[dict[str, Any]]] = {window.start: [] for window in windows}
        for start, entry in rows:
            found[start].append(entry)
        return found

    def put_latest_scores(
        self,
        entries: Sequence[dict[str, Any]],
        by_scope: dict[str, list[dict[str, Any]]],
        computed_at: datetime,
    ) -> None:
        """The score columns of `models`, from the newest board so far."""
        with self._database.transaction() as connection:
            for entry in entries:
                connection.execute(
                    text(
                        "update models set overall_score_jsonb = cast(:overall as jsonb), "
                        " scores_by_scope_jsonb = cast(:scopes as jsonb), updated_at = now(), "
                        " meta_jsonb = meta_jsonb || jsonb_build_object('scored_through', cast(:at as text)) "
                        "where id = :id and coalesce(meta_jsonb->>'scored_through', '') <= :at "
                        "and (overall_score_jsonb, scores_by_scope_jsonb, meta_jsonb->>'scored_through') "
                        " is distinct from (cast(:overall as jsonb), cast(:scopes as jsonb), cast(:at as text))"
                    ),
                    {
                        "id": entry["model_id"],
                        "overall": orjson.dumps(entry["score"]).decode(),
                        "scopes": orjson.dumps(by_scope.get(entry["model_id"], [])).decode(),
                        "at": computed_at.isoformat(),
                    },
                )

    def put_leaderboards(
        self,
        boards: Mapping[Window, Sequence[dict[str, Any]]],
        version: str,
        final: Set[Window],
        meta: dict[str, Any],
    ) -> None:
        """The boards of these windows; one that says the same stays untouched."""
        with self._database.transaction() as connection:
            connection.execute(
                text(
                    "insert into leaderboards (window_start, computed_at, final, entries_jsonb, meta_jsonb, version) "
                    "select start, now, final, cast(entries as jsonb), cast(:meta as jsonb), :version "
                    "from unnest(cast(:starts as timestamptz[]), cast(:nows as timestamptz[]), "
                    " cast(:finals as boolean[]), cast(:entries as text[])) board(start, now, final, entries) "
                    "on conflict (window_start, version) do update set "
                    " entries_jsonb = excluded.entries_jsonb, meta_jsonb = excluded.meta_jsonb, "
                    " final = excluded.final, created_at = now() "
                    "where (leaderboards.entries_jsonb, leaderboards.meta_jsonb, leaderboards.final) "
                    " is distinct from (excluded.entries_jsonb, excluded.meta_jsonb, excluded.final)"
                ),
                {
                    "starts": [window.start for window in boards],
                    "nows": [window.end for window in boards],
                    "finals": [window in final for window in boards],
                    "entries": [orjson.dumps(entries).decode() for entries in boards.values()],
                    "meta": orjson.dumps(meta).decode(),
                    "version": version,
                },
            )

    def latest_leaderboard(self, start: datetime | None = None) -> Any:
        """The current version's newest board (or the one of the window that starts then); None: no board."""
        rows = self._database.read(
            "select l.window_start, l.computed_at, l.created_at, l.final, l.version, l.entries_jsonb, "
            " l.meta_jsonb from leaderboards l join slot_versions v on v.version = l.version and v.current "
            "where cast(:start as timestamptz) is null or l.window_start = :start "
            "order by l.window_start desc limit 1",
            start=start,
        )
        return rows[0] if rows else None

    def ended_cycles(
        self, after: datetime, until: datetime, length: timedelta, truth_version: str, version: str
    ) -> dict[datetime, int]:
        """How many cycles have ended, by the end of the window `(start, end]` their truth falls in."""
        rows = self._database.read(
            "select to_timestamp(ceil(extract(epoch from c.resolvable_at) / :length) * :length) as window_end, "
            " count(*) as ended from cycles c "
            f"left join ground_truths g on g.version = :truth and {OF_CYCLE.format('g')} "
            # Said of both: else the truths of all of history are read for the join.
            " and g.resolvable_at > :after and g.resolvable_at <= :until "
            f"where c.resolvable_at > :after and c.resolvable_at <= :until and {HAS_ENDED} group by 1",
            after=after,
            until=until,
            since=performed_since(self._database, after, until),
            length=length.total_seconds(),
            truth=truth_version,
            version=version,
        )
        return {row.window_end: row.ended for row in rows}

    def show_version(self, version: str, detail: dict[str, Any], look_back: timedelta) -> bool:
        """Make this the version that is shown, once the look-back is wholly scored in it; says if it is."""
        with self._database.transaction() as connection:
            connection.execute(
                text(
                    "insert into slot_versions (version, detail_jsonb) "
                    "values (:version, cast(:detail as jsonb)) on conflict do nothing"
                ),
                {"version": version, "detail": orjson.dumps(detail).decode()},
            )
            missing = connection.execute(
                text(
                    "select exists (select from scores old join slot_versions v "
                    " on v.version = old.version and v.current and v.version <> :version "
                    "where old.resolvable_at > (select max(resolvable_at) from scores s2 "
                    "  where s2.version = v.version) - :look_back "
                    "and not exists (select from scores new where new.version = :version "
                    "  and new.performed_at = old.performed_at and new.model_id = old.model_id "
                    "  and new.prediction_config_id = old.prediction_config_id))"
                ),
                {"version": version, "look_back": look_back},
            ).scalar_one()
            if not missing:
                connection.execute(
                    text("update slot_versions set current = false where current and version <> :version"),
                    {"version": version},
                )
                connection.execute(
                    text("update slot_versions set current = true where version = :version and not current"),
                    {"version": version},
                )
            return not missing

    def put_report_schema(self, schema: dict[str, Any]) -> None:
        with self._database.transaction() as connection:
            connection.execute(
                text(
                    "insert into report_schemas (schema_jsonb) values (cast(:schema as jsonb)) "
                    "on conflict (id) do update set schema_jsonb = excluded.schema_jsonb, updated_at = now() "
                    "where report_schemas.schema_jsonb <> excluded.schema_jsonb"
                ),
                {"schema": orjson.dumps(schema).decode()},
            )

    def report_schema(self) -> dict[str, Any] | None:
        """The report's schema as it was materialized last; None: it has not been yet."""
        rows = self._database.read("select schema_jsonb from report_schemas")
        return rows[0].schema_jsonb if rows else None
