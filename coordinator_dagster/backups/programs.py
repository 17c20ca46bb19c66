"""PostgreSQL's client programs: those on the machine, else those that came in the wheel."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from sqlalchemy import make_url

from coordinator_dagster.errors import UserError
from coordinator_dagster.store.database import with_driver
from coordinator_dagster.store.embedded import client_folders


def pg_dump(server: str) -> Path:
    """One that reads a server of that version: it has to be as new. UserError where there is none."""
    major = int(server.split(".")[0])
    found = _programs("pg_dump")
    for version, program in found:
        if version >= major:
            return program
    seen = ", ".join(f"{program} is of {version}" for version, program in found)
    raise UserError(
        f"pg_dump: the server is PostgreSQL {server}, and a pg_dump of {major} or later is needed; {seen or 'none'} "
        f"is here; install PostgreSQL's client programs of {major} (Debian: postgresql-client-{major}) onto PATH"
    )


def pg_restore() -> Path:
    """The newest there is: it reads what any older pg_dump wrote."""
    return max(_programs("pg_restore"), key=lambda one: one[0])[1]


def _programs(name: str) -> list[tuple[int, Path]]:
    """Major version and path: first of what PATH has, then those in the wheel, older ones first."""
    on_path = shutil.which(name)
    candidates = [*([Path(on_path)] if on_path else []), *(folder / name for folder in client_folders())]
    return [(_major(one), one) for one in candidates]


def _major(program: Path) -> int:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"\) (\d+)", said)
    if not found:
        raise UserError(f"{program} --version says {said.strip()!r}, which is no version of PostgreSQL")
    return int(found[1])


def connecting(url: str) -> tuple[Sequence[str], Mapping[str, str]]:
    """The arguments and the environment of a program that shall work with that database.

    The password goes by the environment: arguments are there for all to see.
    """
    parsed = make_url(with_driver(url)).set(drivername="postgresql")
    environment = dict(os.environ)
    if parsed.password:
        environment["PGPASSWORD"] = parsed.password
    shown = parsed._replace(password=None).render_as_string()
    return [f"--dbname={shown}", "--no-password"], environment
