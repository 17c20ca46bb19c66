"""What a database needs now and then: dead rows reused, statistics of what autovacuum never looks at."""

from sqlalchemy import Connection, text

ALONE = "hashtext(current_schema() || '.upkeep')"
ANALYZE_AGAIN = "7 days"
# What autovacuum would do later: it waits for a fifth of a table, which is much of one that grew for a year.
NEED = (
    "select relname from pg_stat_user_tables where schemaname = current_schema() "
    "and n_dead_tup > 1000 + n_live_tup / 20 order by 1"
)
# Autovacuum looks at each part of a partitioned table, and never at the whole, by which queries are planned.
WHOLES = (
    "select c.relname from pg_class c join pg_stat_user_tables s on s.relid = c.oid "
    "where c.relkind = 'p' and s.schemaname = current_schema() "
    "and exists (select from pg_inherits where inhparent = c.oid) "
    f"and greatest(s.last_analyze, s.last_autoanalyze, '-infinity') < now() - interval '{ANALYZE_AGAIN}' order by 1"
)


def keep_up(connection: Connection) -> list[str]:
    """Vacuum and analyze the tables of the connection's schema that need it; their names.

    The connection commits by itself. Nobody is held up: it is as slow as autovacuum, what somebody has locked is left
    for the next time, and no file gets smaller, for that would take the table away from everybody. Where another
    connection is at it in the same schema, nothing is done.
    """
    if not connection.execute(text(f"select pg_try_advisory_lock({ALONE})")).scalar_one():
        return []
    try:
        connection.execute(text("select pg_stat_force_next_flush()"))  # what this connection has deleted counts now
        connection.execute(text("set vacuum_cost_delay = '2ms'"))
        tables, wholes = (list(connection.execute(text(sql)).scalars()) for sql in (NEED, WHOLES))
        for table in tables:
            connection.exec_driver_sql(f'vacuum (analyze, skip_locked, truncate false) "{table}"')
        for table in wholes:
            connection.exec_driver_sql(f'analyze (skip_locked) "{table}"')
        return [*tables, *wholes]
    finally:
        connection.execute(text("reset vacuum_cost_delay"))
        connection.execute(text(f"select pg_advisory_unlock({ALONE})"))
