"""`backups`: what was saved and brought back; and how a schema is replaced by what a backup holds."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime

import psycopg2
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from coordinator_dagster.backups.script import Piece, Reader
from coordinator_dagster.errors import UserError, first_line
from coordinator_dagster.store.database import COPY_READ, Database
from coordinator_dagster.store.leases import NEVER
from coordinator_dagster.store.locks import locked
from coordinator_dagster.store.migrating import upgrade

LOCK_PATIENCE = "10s"  # so long may all others be held up by one that does not let go of a table
HELD_SECONDS = 60  # by the new tables, until who restores renews its hold


class InUse(UserError):
    """The tables were not free, or a run came to work at the last moment: nothing was changed."""


@dataclass(frozen=True)
class Loss:
    """What came after a moment, and would go. `frozen`: days whose emission was frozen since, by their end."""

    cycles: int
    orders: int
    models: int
    keys: int
    frozen: Sequence[datetime]


class BackupTable:
    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, taken_at: datetime, release: str) -> int:
        """Note a backup that is about to be taken; its number."""
        with self._database.transaction() as connection:
            return int(
                connection.execute(
                    text(
                        "insert into backups (taken_at, release, cycles_through) values (:at, :release, "
                        "(select max(performed_at) from cycles where status in ('PERFORMED', 'MISSED'))) returning id"
                    ),
                    {"at": taken_at, "release": release},
                ).scalar_one()
            )

    def finish(self, number: int, size: int) -> None:
        """It is in its file, of `size` bytes."""
        with self._database.transaction() as connection:
            connection.execute(
                text("update backups set finished_at = now(), bytes = :size where id = :number"),
                {"number": number, "size": size},
            )

    def last_restored(self) -> datetime | None:
        """When the tables were last replaced by those of a backup; None: never."""
        moment: datetime | None = self._database.read("select max(restored_at) as at from backups")[0].at
        return moment


@contextmanager
def snapshot(database: Database) -> Iterator[tuple[str, Collection[tuple[str, bool]]]]:
    """A moment for pg_dump to look at, and each table there was: its name, and whether it has rows of its own."""
    with database.engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        name = connection.execute(text("select pg_export_snapshot()")).scalar_one()
        tables = connection.execute(
            text(
                "select relname, relkind = 'r' from pg_class where relkind in ('r', 'p') "
                "and relnamespace = cast(:schema as regnamespace)"
            ),
            {"schema": database.schema},
        ).all()
        yield name, {(row[0], row[1]) for row in tables}


def rights_lacking(database: Database) -> str | None:
    """Why this user cannot replace the schema; None: it can."""
    row = database.read(
        "select current_user as who, current_database() as base, "
        "has_database_privilege(current_database(), 'CREATE') as create, "
        "(select pg_has_role(nspowner, 'USAGE') from pg_namespace where nspname = :schema) as owns",
        schema=database.schema,
    )[0]
    if not row.create:
        return f"{row.who} may not create a schema in the database {row.base}; grant create on database {row.base}"
    if row.owns is False:
        return f"{row.who} does not own the schema {database.schema}; restore as its owner"
    return None


def dependents(database: Database) -> list[str]:
    """Views of other schemas that read this one: they would go with it."""
    rows = database.read(
        "select distinct n.nspname || '.' || v.relname as name from pg_depend d "
        "join pg_rewrite w on w.oid = d.objid and d.classid = cast('pg_rewrite' as regclass) "
        "join pg_class v on v.oid = w.ev_class join pg_namespace n on n.oid = v.relnamespace "
        "join pg_class t on t.oid = d.refobjid and d.refclassid = cast('pg_class' as regclass) "
        "join pg_namespace s on s.oid = t.relnamespace "
        "where s.nspname = :schema and n.nspname not in (:schema, :scratch) order by 1",
        schema=database.schema,
        scratch=f"{database.schema}_resettle",
    )
    return [row.name for row in rows]


def exists(database: Database) -> bool:
    """Whether the schema is there."""
    return bool(database.read("select from pg_namespace where nspname = :schema", schema=database.schema))


def loss_since(database: Database, moment: datetime, frozen: Collection[datetime]) -> Loss:
    """What the tables hold that came after that moment, or is not among the days that were `frozen` then."""
    row = database.read(
        "select (select count(*) from cycles where status = 'PERFORMED' and performed_at > :moment) as cycles, "
        "(select count(*) from operator_orders where given_at > :moment) as orders, "
        "(select count(*) from models where joined_at > :moment) as models, "
        "(select count(*) from api_keys where created_at > :moment) as keys",
        moment=moment,
    )[0]
    days = database.read("select distinct emitted_at as at from emission_checkpoints order by 1")
    return Loss(row.cycles, row.orders, row.models, row.keys, [day.at for day in days if day.at not in frozen])


def replace(
    database: Database,
    script: Callable[[], AbstractContextManager[Iterable[Piece]]],
    taken_at: datetime,
    release: str,
    holds: Collection[str],
    holder: str,
) -> None:
    """Replace the schema by what the script makes, at this code's revision: all of it, or nothing is changed.

    `holds`: the leases that `holder` has in the new tables. InUse where somebody else is at work, or has a table;
    UserError with what the server said where the script could not be carried out.
    """
    fresh = Database(database.url, database.schema)  # the script changes the connection's settings
    try:
        with fresh.transaction() as connection:
            _free(fresh, connection, holder)
            with script() as pieces:  # where it could not be read to its end, that says so, and nothing is changed
                _carry_out(connection, pieces)
            connection.execute(text("reset all"))
            upgrade(connection, database.schema, LOCK_PATIENCE)
            _hold(connection, holds, holder)
            _note(connection, taken_at, release)
    except (DBAPIError, psycopg2.Error) as error:
        said = first_line(getattr(error, "orig", error))
        if locked(error):
            raise InUse(f"the tables of {database.schema} are in use: {said}; nothing was changed, try again") from None
        raise UserError(f"the backup could not be restored: {said}; nothing was changed") from None
    finally:
        fresh.close()


def _free(database: Database, connection: Connection, holder: str) -> None:
    """Nobody is at work, nobody begins, and the schema is gone, for this transaction."""
    connection.execute(text(f"set local lock_timeout = '{LOCK_PATIENCE}'"))
    connection.execute(text("select pg_advisory_xact_lock(hashtext(:name))"), {"name": database.schema})  # migrations
    database.lock(connection, "settle")
    if connection.execute(text("select to_regclass('leases')")).scalar_one():
        connection.execute(text("lock table leases in access exclusive mode"))
        others = connection.execute(
            text("select name || ' of ' || holder from leases where expires_at > clock_timestamp() and holder <> :own"),
            {"own": holder},
        ).scalars()
        if found := sorted(others):
            raise InUse(f"{', '.join(found)} came to work meanwhile; nothing was changed, try again")
    connection.execute(text(f'drop schema if exists "{database.schema}" cascade'))


def _carry_out(connection: Connection, script: Iterable[Piece]) -> None:
    known = {row[0] for row in connection.execute(text("select name from pg_settings"))}
    raw = connection.connection.cursor()
    for piece in script:
        if piece.rows is not None:
            raw.copy_expert(piece.statement, Reader(piece.rows), COPY_READ)
        elif piece.sets is None or piece.sets in known:  # pg_restore says what an older server does not know
            raw.execute(piece.statement)


def _hold(connection: Connection, holds: Collection[str], holder: str) -> None:
    """Who worked when the backup was taken works no more."""
    connection.execute(text("delete from leases"))
    connection.execute(
        text(
            "insert into leases (name, holder, acquired_at, renewed_at, expires_at) select name, :holder, "
            f"clock_timestamp(), {NEVER}, clock_timestamp() + make_interval(secs => :seconds) "
            "from unnest(cast(:names as text[])) as name"
        ),
        {"names": list(holds), "holder": holder, "seconds": HELD_SECONDS},
    )


def _note(connection: Connection, taken_at: datetime, release: str) -> None:
    noted = connection.execute(
        text("update backups set restored_at = now() where id = (select max(id) from backups) and taken_at = :at"),
        {"at": taken_at},
    ).rowcount
    if not noted:  # taken before there was this table
        connection.execute(
            text("insert into backups (taken_at, release, restored_at) values (:at, :release, now())"),
            {"at": taken_at, "release": release},
        )
