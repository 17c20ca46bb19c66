"""A competition's schema in PostgreSQL: connections and bulk writes."""

import io
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime
from functools import lru_cache
from typing import Any

import orjson
import psycopg2
import psycopg2.extras
from psycopg2.errors import UniqueViolation
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine import Row
from sqlalchemy.exc import ArgumentError, DisconnectionError, InterfaceError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

from coordinator_dagster.errors import UserError
from slots.tape import TapeAway

COPY_CHUNK = 16 * 1024 * 1024
COPY_READ = 1 << 16  # bytes handed to the driver at a time: its 8192 are several for one input
OLDEST_SERVER = 150000
MONTHLY = ("market_records", "forecasts", "scores")  # the tables that are partitioned by month
POOL_SECONDS = 30  # SQLAlchemy's own
IDLE_SECONDS = 1.0  # a connection used since is not tried before it is used again
# A server that vanished without a word is noticed within some ten seconds, as a lease runs out.
LIVENESS = {
    "connect_timeout": 10,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
# The server was away; COPY goes by psycopg2's own cursor, and raises its own errors.
ServerAway = (OperationalError, InterfaceError, psycopg2.OperationalError, psycopg2.InterfaceError)
DatabaseAway = (*ServerAway, TapeAway)  # so it is where a slot asked


def with_driver(url: str) -> str:
    """The URL with psycopg2 named: SQLAlchemy 2.1 takes a bare `postgresql://` for psycopg 3.

    The password, which libpq also takes in the query, is in its place, where whoever shows a URL hides it.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # The URL may hold a password: it is not shown.
        raise UserError("DATABASE_URL is no URL; write postgresql://user:password@host:5432/name") from None
    if parsed.drivername in ("postgres", "postgresql"):
        parsed = parsed.set(drivername="postgresql+psycopg2")
    if parsed.drivername != "postgresql+psycopg2":
        raise UserError(f"DATABASE_URL: {parsed.drivername}:// is not PostgreSQL; use postgresql://…")
    if password := parsed.query.get("password"):
        user = parsed.query.get("user") or parsed.username or ""
        parsed = parsed.set(username=str(user), password=str(password)).difference_update_query(["user", "password"])
    return parsed.render_as_string(hide_password=False)


class Database:
    """One competition's schema. Everything in it is unqualified: the search path says which schema."""

    def __init__(self, url: str, schema: str, patience: int = 0) -> None:
        """`patience`: seconds that a statement may take, and a connection may be waited for; 0: as long as it takes."""
        self.url, self.schema = with_driver(url), schema
        options = f"-c search_path={schema} -c timezone=UTC -c statement_timeout={patience * 1000}"
        options += r" -c default_transaction_isolation=read\ committed"  # who waited for a lock sees what was written
        connect = {"options": options, **LIVENESS}
        self.engine: Engine = create_engine(self.url, connect_args=connect, pool_timeout=patience or POOL_SECONDS)
        self._single = self.engine.execution_options(isolation_level="AUTOCOMMIT")  # statements that stand alone
        self._months: set[tuple[str, int, int]] = set()
        event.listen(self.engine, "connect", _fast_json)
        event.listen(self.engine, "connect", _fast_compression)
        event.listen(self.engine, "checkin", _note_use)
        event.listen(self.engine, "checkout", self._look_again)

    def _look_again(self, connection: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
        """A connection that nobody used for a while may be dead: then the pool takes another."""
        if time.monotonic() - record.info.get("used", time.monotonic()) < IDLE_SECONDS:
            return
        try:
            self.engine.dialect.do_ping(connection)
        except psycopg2.Error as error:
            raise DisconnectionError from error

    def read(self, sql: str, within: Connection | None = None, /, **parameters: Any) -> Sequence[Row[*tuple[Any, ...]]]:
        """The rows of a query; `within` a transaction, as that one sees them."""
        with nullcontext(within) if within else self._single.connect() as connection:
            return connection.execute(text(sql), parameters).all()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """All or nothing."""
        with self.engine.begin() as connection:
            yield connection

    @contextmanager
    def alone(self) -> Iterator[Connection]:
        """Statements that stand alone, each a transaction."""
        with self._single.connect() as connection:
            yield connection

    def copy(self, connection: Connection, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
        """COPY rows into a table; returns how many. Lists and dicts become JSON, `bytes` are JSON already."""
        cursor = connection.connection.cursor()
        statement = f"copy {table} ({', '.join(columns)}) from stdin"
        count, buffer = 0, io.BytesIO()
        for row in rows:
            line = "\t".join([_WRITTEN.get(type(value), _other)(value) for value in row]) + "\n"
            buffer.write(line.encode())
            count += 1
            if buffer.tell() > COPY_CHUNK:
                _send(cursor, statement, buffer)
                buffer = io.BytesIO()
        if buffer.tell():
            _send(cursor, statement, buffer)
        return count

    def copy_new(
        self, connection: Connection, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]
    ) -> int:
        """COPY rows, but not those whose key is there: another worker was faster. Returns how many were new."""
        rows = list(rows)
        try:
            with connection.begin_nested():
                return self.copy(connection, table, columns, rows)
        except UniqueViolation:  # seldom; to look before would take as long as to write
            pass
        names, arriving = ", ".join(columns), self.copy_aside(connection, table, columns, rows)
        insert = f"insert into {table} ({names}) select {names} from {arriving} on conflict do nothing"
        return connection.execute(text(insert)).rowcount

    def copy_aside(
        self, connection: Connection, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]
    ) -> str:
        """COPY rows into a temporary table beside `table`, empty again after the transaction; returns its name.

        A connection makes it once: one made for each write would fill the server's catalog with dead rows.
        """
        name = f"new_{table}"
        connection.execute(
            text(
                f"create temporary table if not exists {name} on commit delete rows as "
                f"select {', '.join(columns)} from {table} with no data"
            )
        )
        self.copy(connection, name, columns, rows)
        return name

    def lock(self, connection: Connection, what: str, idle_seconds: int = 0) -> None:
        """Wait until no other transaction of this schema holds it; let go with the transaction.

        A transaction that says nothing for `idle_seconds` (0: for ever) is ended by the server.
        """
        connection.execute(
            text(
                "select set_config('idle_in_transaction_session_timeout', :idle, true), "
                " pg_advisory_xact_lock(hashtext(:name))"
            ),
            {"idle": f"{idle_seconds}s", "name": f"{self.schema}.{what}"},
        )

    def ensure_months(self, table: str, start: datetime, end: datetime, patience: str = "0") -> None:
        """Create the monthly partitions of a table for `[start, end]`.

        It takes the table for a moment; others wait for it no longer than `patience` (0: for ever), then it fails.
        """
        month = (start.year, start.month)
        while month <= (end.year, end.month):
            following = (month[0] + month[1] // 12, month[1] % 12 + 1)
            if (table, *month) not in self._months:
                with self.transaction() as connection:
                    connection.execute(
                        text("select set_config('lock_timeout', :patience, true)"), {"patience": patience}
                    )
                    # Two processes may want the same month: `if not exists` alone races in PostgreSQL.
                    self.lock(connection, table)
                    connection.execute(
                        text(
                            f"create table if not exists {table}_{month[0]:04}_{month[1]:02} partition of {table} "
                            f"for values from ('{month[0]:04}-{month[1]:02}-01 00:00+00') "
                            f"to ('{following[0]:04}-{following[1]:02}-01 00:00+00')"
                        )
                    )
                self._months.add((table, *month))
            month = following

    def has(self, table: str) -> bool:
        """Whether the schema has that table; it has none before its first use."""
        return self.read("select to_regclass(:table) is not null as there", table=table)[0].there is True

    def revision(self) -> str | None:
        """Which migration the tables are at; None: there are none."""
        rows = self.read("select version_num from alembic_version") if self.has("alembic_version") else []
        return rows[0].version_num if rows else None

    def server_version(self) -> str:
        """The server's version; UserError when it cannot be reached or is too old."""
        try:
            with self.engine.connect() as connection:
                number = int(connection.execute(text("show server_version_num")).scalar_one())
        except OperationalError as error:
            server = make_url(self.url).render_as_string(hide_password=True)
            raise UserError(
                f"DATABASE_URL: cannot connect to {server}: {str(error.orig).strip()}; start the server or mend "
                "the URL, or unset DATABASE_URL to use the embedded PostgreSQL"
            ) from None
        if number < OLDEST_SERVER:
            raise UserError(f"DATABASE_URL: PostgreSQL {number // 10000} is too old; use 15 or later")
        return f"{number // 10000}.{number % 10000}"

    def close(self) -> None:
        self.engine.dispose()


def _fast_json(connection: Any, _record: Any) -> None:
    psycopg2.extras.register_default_jsonb(connection, globally=False, loads=orjson.loads)


def _fast_compression(connection: Any, _record: Any) -> None:
    """lz4 for the inputs' ten kilobytes, where the server has it: half the time to write, a quarter to read."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select set_config(name, 'lz4', false) from pg_settings "
            "where name = 'default_toast_compression' and 'lz4' = any(enumvals)"
        )
    connection.commit()


def _note_use(_connection: Any, record: ConnectionPoolEntry) -> None:
    record.info["used"] = time.monotonic()


def _send(cursor: Any, statement: str, buffer: io.BytesIO) -> None:
    buffer.seek(0)
    cursor.copy_expert(statement, buffer, COPY_READ)


def _other(value: Any) -> str:
    """A subclass, such as numpy's numbers and pandas' timestamps."""
    return next((_WRITTEN[kind](value) for kind in type(value).__mro__ if kind in _WRITTEN), None) or str(value)


@lru_cache(1 << 12)
def _text(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def _json(value: Any) -> str:
    return orjson.dumps(value).decode().replace("\\", "\\\\")


# COPY's text format, by type; many rows say the same of many columns.
_WRITTEN: dict[type, Callable[[Any], str]] = {
    str: _text,
    datetime: lru_cache(1 << 12)(datetime.isoformat),
    dict: _json,
    list: _json,
    bytes: lambda value: value.decode().replace("\\", "\\\\"),
    type(None): lambda value: "\\N",
    float: float.__repr__,
    int: int.__repr__,
    bool: bool.__repr__,
}
