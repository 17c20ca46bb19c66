"""How Dagster has its runs."""

from collections.abc import Iterable, Mapping

from sqlalchemy import create_engine, text


def statuses(url: str, runs: Iterable[str]) -> Mapping[str, str]:
    """The status of each of these runs that Dagster, whose tables are there, knows."""
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            if connection.scalar(text("select to_regclass('runs')")) is None:
                return {}
            found = connection.execute(
                text("select run_id, status from runs where run_id = any(:runs)"), {"runs": list(runs)}
            )
            return {row.run_id: row.status for row in found}
    finally:
        engine.dispose()
