"""`scheduled_prediction_configs`: what is asked; a config that changes gets a new row, and history stays."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, text

from coordinator_dagster.competition import Competition
from coordinator_dagster.errors import UserErrors
from coordinator_dagster.orders import Orders
from coordinator_dagster.packs import Pack, PredictionConfig
from coordinator_dagster.schedule import Schedule, Term
from coordinator_dagster.store.database import Database

READ = (
    "select id, base_id, scope_key, scope_template_jsonb as scope_template, schedule_jsonb as schedule, active, "
    ' "order", meta_jsonb as meta, series_jsonb as series, active_from, active_until '
    "from scheduled_prediction_configs"
)
CONTENT = ("scope_key", "scope_template", "schedule", "active", "order", "meta", "series")


class ConfigTable:
    def __init__(self, database: Database) -> None:
        self._database = database

    def sync(self, pack: Pack) -> None:
        """Make the pack's configs known; UserErrors when they are not those that stored cycles refer to."""
        if not self.changes(pack):
            return
        with self._database.transaction() as connection:
            self._database.lock(connection, "configs")  # two runs may be the first to open the schema
            if not self.changes(pack, connection):
                return
            if not self._begun(connection):
                connection.execute(text("delete from scheduled_prediction_configs"))
                for base, content in _contents(pack).items():
                    self._insert(connection, base, base, content, None)
                return
        raise UserErrors(self.refusals(pack))

    def refusals(self, pack: Pack) -> list[str]:
        """Why the pack's configs cannot stand: they are not those that stored cycles refer to."""
        changes = self.changes(pack)
        if not changes or not self._begun():
            return []
        return [
            f"{change}, and cycles have been performed; put it back, or make it a new version from an instant on "
            "by `coordinator order configs --at INSTANT --reason TEXT`"
            for change in changes
        ]

    def changes(self, pack: Pack, within: Connection | None = None) -> list[str]:
        """How the pack's configs differ from those that stand, for people; empty: they do not."""
        wanted, standing = _contents(pack), self._standing(within)
        found = [f"config {base}: new in the pack {pack.id}" for base in wanted if base not in standing]
        found += [f"config {base}: no more in the pack {pack.id}" for base in standing if base not in wanted]
        return found + [
            f"config {base}: {name} is {content[name]!r}, but {standing[base][name]!r} in the database"
            for base, content in wanted.items()
            for name in CONTENT
            if base in standing and _differs(name, content, standing[base])
        ]

    def apply(self, connection: Connection, pack: Pack, at: datetime) -> list[str]:
        """From `at` on the pack's configs stand: what changed gets a new version; the ids of the new rows."""
        wanted, standing, new = _contents(pack), self._standing(), []
        for base in sorted({*wanted, *standing}):
            content, old = wanted.get(base), standing.get(base)
            if old and content and not any(_differs(name, content, old) for name in CONTENT):
                continue
            if old:
                connection.execute(
                    text(
                        "update scheduled_prediction_configs set active = false, active_until = :at, "
                        " active_from = case when active then active_from else :at end where id = :id"
                    ),
                    {"id": old["id"], "at": at},
                )
            if content:
                versions = connection.execute(
                    text("select count(*) from scheduled_prediction_configs where base_id = :base"), {"base": base}
                ).scalar_one()
                # A dot cannot occur in a pack's ids: a version never takes another config's id.
                new.append(f"{base}.{versions + 1}" if versions else base)
                self._insert(connection, new[-1], base, content, at)
        connection.execute(
            text("delete from cycles where status in ('planned', 'running') and performed_at >= :at"), {"at": at}
        )
        return new

    def schedule(self, competition: Competition, orders: Orders) -> Schedule:
        """What is due when, by the configs' rows, the competition's end and the orders."""
        ends = [competition.settings.competition_end]
        if order := orders.end():
            ends.append(order.effective_at)
        terms = []
        for row in self._database.read(f"{READ} where active or active_until is not null order by id"):
            known = [end for end in (*ends, row.active_until) if end is not None]
            start = row.active_from or competition.start
            terms.append(Term(_config(dict(row._mapping)), start, min(known) if known else None))
        return Schedule(terms, orders)

    def _begun(self, within: Connection | None = None) -> bool:
        return bool(self._database.read("select exists (select from cycles) as begun", within)[0].begun)

    def _standing(self, within: Connection | None = None) -> dict[str, Mapping[str, Any]]:
        rows = self._database.read(f"{READ} where active_until is null", within)
        return {row.base_id: dict(row._mapping) for row in rows}

    def _insert(
        self, connection: Connection, name: str, base: str, content: Mapping[str, Any], active_from: datetime | None
    ) -> None:
        connection.execute(
            text(
                "insert into scheduled_prediction_configs (id, base_id, scope_key, scope_template_jsonb, "
                ' schedule_jsonb, active, "order", meta_jsonb, series_jsonb, active_from) values (:id, :base, '
                " :scope_key, cast(:scope_template as jsonb), cast(:schedule as jsonb), :active, :order, "
                " cast(:meta as jsonb), cast(:series as jsonb), :active_from)"
            ),
            {
                **{
                    key: orjson.dumps(value).decode() if isinstance(value, dict | list) else value
                    for key, value in content.items()
                },
                "id": name,
                "base": base,
                "active_from": active_from,
            },
        )


def _contents(pack: Pack) -> dict[str, dict[str, Any]]:
    """What makes each of the pack's configs what it is, by id."""
    contents = {}
    for config in pack.scheduled_prediction_configs:
        stored = config.model_dump(mode="json", exclude={"id", "series"})
        contents[config.id] = stored | {"series": [one.model_dump() for one in pack.series_of(config)]}
    return contents


def _differs(name: str, content: Mapping[str, Any], stored: Mapping[str, Any]) -> bool:
    """Rows from before the series were kept have None there."""
    return content[name] != stored[name] and not (name == "series" and stored[name] is None)


def _config(row: Mapping[str, Any]) -> PredictionConfig:
    """A row as the config it was in its pack, under the id of its version."""
    content = {name: row[name] for name in CONTENT}
    config = PredictionConfig.model_validate({"id": row["base_id"], **content})
    return config.model_copy(update={"id": row["id"]})
