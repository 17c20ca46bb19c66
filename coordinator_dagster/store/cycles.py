"""What was asked and answered: models, cycles and forecasts."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby

from sqlalchemy import Connection, text

from coordinator_dagster.runners.base import ModelInfo
from coordinator_dagster.stages.facts import Cycle, Forecast, StoredInput
from coordinator_dagster.stages.suspension import Said
from coordinator_dagster.store.database import Database
from coordinator_dagster.windows import Window

CYCLE_COLUMNS = (
    "prediction_config_id",
    "performed_at",
    "resolvable_at",
    "window_start",
    "status",
    "reason",
    "cut_off",
    "answer_by",
    "dispatched_at",
    "scope_key",
    "scope_jsonb",
    "meta_jsonb",
)
FORECAST_COLUMNS = (
    "model_id",
    "prediction_config_id",
    "scope_key",
    "scope_jsonb",
    "status",
    "exec_time_ms",
    "queued_ms",
    "inference_output_jsonb",
    "meta_jsonb",
    "performed_at",
    "resolvable_at",
    "asked_at",
    "answered_at",
    "deployment",
)


class CycleTables:
    """Facts about forecasts: written once, a window at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def sync_models(self, models: Sequence[ModelInfo]) -> None:
        """Make the models known; a new deployment or name updates its row."""
        names = ("id", "name", "deployment", "player_id", "player_name")
        with self._database.transaction() as connection:
            connection.execute(
                text(
                    "insert into models (id, name, deployment_identifier, player_id, player_name) "
                    "select * from unnest(cast(:id as text[]), cast(:name as text[]), cast(:deployment as text[]), "
                    " cast(:player_id as text[]), cast(:player_name as text[])) given order by 1 "  # one order for all
                    "on conflict (id) do update set name = excluded.name, updated_at = now(), "
                    " deployment_identifier = excluded.deployment_identifier, "
                    " player_id = excluded.player_id, player_name = excluded.player_name "
                    "where (models.name, models.deployment_identifier, models.player_id, "
                    " models.player_name) is distinct from (excluded.name, "
                    " excluded.deployment_identifier, excluded.player_id, excluded.player_name)"
                ),
                {name: [getattr(one, name) for one in models] for name in names},
            )

    def joined(self) -> dict[str, datetime]:
        """Since when each model owes an answer, by model id."""
        rows = self._database.read("select id, joined_at from models where joined_at is not null")
        return {row.id: row.joined_at for row in rows}

    def participants(self) -> list[ModelInfo]:
        """The models that have been asked before, ordered by id."""
        rows = self._database.read(
            "select id, name, deployment_identifier as deployment, player_id, player_name from models "
            "where joined_at is not null order by id"
        )
        return [ModelInfo(**row._mapping) for row in rows]

    def first_open(self, truth_version: str) -> datetime | None:
        """The first instant with a cycle that is not performed, or has no truth in this version; else the next."""
        return self._database.read(
            "select coalesce(min(c.performed_at) filter (where c.status in ('planned', 'running') "
            "  or (c.status = 'PERFORMED' and g.version is null)), "
            " max(c.performed_at) + interval '1 microsecond') as at "
            "from cycles c left join ground_truths g on g.performed_at = c.performed_at "
            " and g.prediction_config_id = c.prediction_config_id and g.version = :version",
            version=truth_version,
        )[0].at

    def last_ended(self) -> datetime | None:
        """The last instant with a cycle that is PERFORMED or MISSED."""
        return self._database.read(
            "select max(performed_at) as at from cycles where status in ('PERFORMED', 'MISSED')"
        )[0].at

    def performed_between(self, config_id: str | None, first: datetime, last: datetime) -> int:
        """How many cycles of that config (None: of any) were performed from `first` to `last`."""
        return self._database.read(
            "select count(*) as n from cycles where performed_at >= :first and performed_at <= :last "
            "and status = 'PERFORMED' and (cast(:config as text) is null or prediction_config_id = :config)",
            config=config_id,
            first=first,
            last=last,
        )[0].n

    def ended(self, window: Window) -> set[tuple[str, datetime]]:
        """The (config, instant) of the window's cycles that are PERFORMED or MISSED."""
        rows = self._database.read(
            "select prediction_config_id, performed_at from cycles "
            "where window_start = :start and status in ('PERFORMED', 'MISSED')",
            start=window.start,
        )
        return {(row.prediction_config_id, row.performed_at) for row in rows}

    def said(self, window: Window) -> dict[datetime, list[Said]]:
        """What the rule of suspension looks at, of the window's forecasts: by instant, in order."""
        rows = self._database.read(
            "select performed_at, model_id, status, coalesce(meta_jsonb->>'reason', '') as reason, deployment "
            "from forecasts where performed_at >= :start and performed_at < :end order by performed_at",
            start=window.start,
            end=window.end,
        )
        return {t: [Said(*row[1:]) for row in own] for t, own in groupby(rows, key=lambda row: row.performed_at)}

    def add(
        self,
        window: Window,
        cycles: Sequence[Cycle],
        forecasts: Sequence[Forecast],
        given: StoredInput | None = None,
    ) -> None:
        """Commit cycles and forecasts of a window together; plans that were not carried out are replaced.

        Cycles that another worker has ended meanwhile stay as it left them. `given`, live: their instant's input.
        """
        if not cycles:
            return
        if forecasts:
            self._database.ensure_months("forecasts", window.start, window.end)
        instants = sorted({one.performed_at for one in cycles})
        with self._database.transaction() as connection:
            self._database.lock(connection, "cycles")
            if ended := self._ended(connection, window, instants):
                cycles = [one for one in cycles if (one.config_id, one.performed_at) not in ended]
                forecasts = [one for one in forecasts if (one.cycle.config_id, one.cycle.performed_at) not in ended]
            connection.execute(
                text("delete from cycles where window_start = :start and status in ('planned', 'running')"),
                {"start": window.start},
            )
            if given and cycles:
                self._put_input(connection, given)
            self._database.copy(
                connection,
                "cycles",
                CYCLE_COLUMNS,
                (
                    (
                        one.config_id,
                        one.performed_at,
                        one.resolvable_at,
                        window.start,
                        one.status,
                        one.reason,
                        one.cut_off,
                        one.answer_by,
                        one.dispatched_at,
                        one.scope_key,
                        one.scope,
                        {"call": one.call} if one.call else {},
                    )
                    for one in cycles
                ),
            )
            self._database.copy(
                connection,
                "forecasts",
                FORECAST_COLUMNS,
                (
                    (
                        one.model_id,
                        one.cycle.config_id,
                        one.cycle.scope_key,
                        one.cycle.scope,
                        one.status,
                        one.exec_time_ms,
                        one.queued_ms,
                        one.output,
                        one.meta,
                        one.cycle.performed_at,
                        one.cycle.resolvable_at,
                        one.asked_at,
                        one.answered_at,
                        one.deployment,
                    )
                    for one in forecasts
                ),
            )
            self._join(connection, forecasts)

    def _ended(self, connection: Connection, window: Window, instants: Sequence[datetime]) -> set[tuple[str, datetime]]:
        rows = connection.execute(
            text(
                "select prediction_config_id, performed_at from cycles where window_start = :start "
                "and performed_at >= :first and performed_at <= :last and status in ('PERFORMED', 'MISSED')"
            ),
            {"start": window.start, "first": instants[0], "last": instants[-1]},
        )
        return {(row.prediction_config_id, row.performed_at) for row in rows}

    def _put_input(self, connection: Connection, given: StoredInput) -> None:
        connection.execute(
            text(
                "insert into inference_inputs (performed_at, cut_off, payload_jsonb) "
                "values (:at, :cut_off, cast(:payload as jsonb))"
            ),
            {"at": given.performed_at, "cut_off": given.cut_off, "payload": given.payload.decode()},
        )

    def note_stored(self, stored: Mapping[datetime, datetime]) -> None:
        """When each of these instants had been committed: known only after it."""
        with self._database.transaction() as connection:
            connection.execute(
                text(
                    "update cycles set stored_at = known.stored_at "
                    "from unnest(cast(:instants as timestamptz[]), cast(:ats as timestamptz[])) known(at, stored_at) "
                    "where performed_at = known.at and status = 'PERFORMED'"
                ),
                {"instants": list(stored), "ats": list(stored.values())},
            )

    def _join(self, connection: Connection, forecasts: Sequence[Forecast]) -> None:
        """Note the earliest cycle of each model; LookupError where one is not known. No foreign key sees to that."""
        latest_first = sorted(((one.cycle.performed_at, one.model_id) for one in forecasts), reverse=True)
        first = {model_id: at for at, model_id in latest_first}
        named = connection.execute(
            text("select count(*) from models where id = any(:ids)"), {"ids": list(first)}
        ).scalar_one()
        if named < len(first):
            raise LookupError(f"forecasts of models that are not known, among {', '.join(first)}: `sync_models` first")
        connection.execute(
            text(
                "with later as (select models.id, first.at from models "
                " join unnest(cast(:ids as text[]), cast(:ats as timestamptz[])) first(id, at) on models.id = first.id "
                " where joined_at is null or joined_at > first.at order by 1 for update of models) "
                "update models set joined_at = later.at from later where models.id = later.id"
            ),
            {"ids": list(first), "ats": list(first.values())},
        )
