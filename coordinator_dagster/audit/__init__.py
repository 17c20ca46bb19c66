"""The audit: do the rules of time hold over what is stored? Plain SQL, and nothing of the code that stored it."""

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import Connection, text

from coordinator_dagster.audit.queries import BEGINNING, END, Query, Violation, read_queries, run_query
from coordinator_dagster.store.database import Database

SHOWN = 20
# Few long queries over whole tables: memory for hashes helps; compiling them, and remembering payloads, does not.
FOR_LONG_QUERIES = "set local jit = off; set local work_mem = '64MB'; set local enable_memoize = off"


def audit(
    database: Database,
    now: datetime,
    start: datetime = BEGINNING,
    end: datetime = END,
    queries: Sequence[Query] | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> list[Violation]:
    """What breaks the rules, check by check, over one snapshot; nothing is written or locked.

    `now` is the mode's clock. `start` and `end` restrict the checks to the instants in `[start, end)`.
    """
    with database.engine.connect() as connection:
        connection = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        with connection.begin():
            return audit_connection(connection, now, start, end, queries, progress)


def audit_connection(
    connection: Connection,
    now: datetime,
    start: datetime = BEGINNING,
    end: datetime = END,
    queries: Sequence[Query] | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> list[Violation]:
    """The same inside a transaction that is open, as that transaction sees the tables."""
    connection.execute(text(FOR_LONG_QUERIES))
    found = []
    for query in read_queries() if queries is None else queries:
        if violation := run_query(connection, query, now, start, end, SHOWN):
            found.append(violation)
        progress(1)
    return found
