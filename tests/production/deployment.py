"""The layout running under a process manager, with a database server of its own."""

import os
import shutil
import subprocess
from functools import partial
from pathlib import Path
from xmlrpc.client import ServerProxy

import psutil
from sqlalchemy import create_engine, make_url, text
from supervisor.xmlrpc import SupervisorTransport

from coordinator_dagster.store.database import with_driver
from coordinator_dagster.store.embedded import start_embedded, stop_embedded
from tests.cli.serving import of_home, until
from tests.kills.instance import command_of, kill, with_children
from tests.production.layout import BIN, CODE, OURS, PARTS, PROGRAMS, Layout

STARTS_SECONDS = 120
PASSWORD = "p%ss: w@rd/"  # all that a URL, a file and a process manager may stumble over


class Deployment:
    """Started; `end` leaves nothing behind."""

    def __init__(self, home: Path, settings: dict[str, str]) -> None:
        self.home, self.layout = home, Layout(home, settings, PASSWORD)
        server = _make_database(home)
        conf = home / "supervisord.conf"
        conf.write_text(self.layout.manager(server))
        environment = {name: value for name, value in os.environ.items() if name not in OURS}
        with (home / "manager.out").open("w") as log:
            self.manager = subprocess.Popen(
                [str(BIN / "supervisord"), "-c", str(conf)], env=environment, stdout=log, stderr=log
            )
        until((home / "manager").exists, 15)
        transport = SupervisorTransport(None, None, f"unix://{home / 'manager'}")
        self._asked = ServerProxy("http://127.0.0.1", transport=transport).supervisor

    @property
    def url_with_password(self) -> str:
        """As the parts make it of DATABASE_URL and the secret."""
        url = make_url(self.layout.environment(CODE)["DATABASE_URL"]).set(password=PASSWORD)
        return url.render_as_string(hide_password=False)

    def pid(self, part: str) -> int:
        """Of the part's process; 0 while there is none."""
        return int(self._asked.getProcessInfo(part)["pid"])

    def process(self, part: str) -> psutil.Process:
        return psutil.Process(self.pid(part))

    def wait_until_healthy(self) -> float:
        """Until every health check passes; the seconds it took."""
        # The daemon's takes seconds of a processor: it is asked when the others are.
        parts = sorted(PARTS, key=lambda part: part == "daemon")
        return sum(until(partial(self._is_healthy, part), STARTS_SECONDS) for part in parts)

    def _is_healthy(self, part: str) -> bool:
        return bool(self.pid(part)) and self.layout.is_healthy(part)

    def lose(self, part: str, with_runs: bool = False) -> list[psutil.Process]:
        """kill -9; `with_runs` all that would be in its container. Returns when another process is there."""
        process = self.process(part)
        killed = with_children([process, *self.run_workers()]) if with_runs else [process]
        for one in killed:
            kill(one)
        until(lambda: self.pid(part) not in (0, process.pid), 60)
        return killed

    def run_workers(self) -> list[psutil.Process]:
        """Those of every run, also of a code server that was killed before."""
        return [one for one in of_home(self.home) if "--multiprocessing-fork" in command_of(one)]

    def audit(self) -> str:
        """What `coordinator audit` says; fails where it finds something."""
        environment = {name: value for name, value in os.environ.items() if name not in OURS}
        done = subprocess.run(
            [*PROGRAMS["coordinator"], "audit"],
            env=environment | self.layout.environment(CODE),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"coordinator audit: {done.stdout}\n{done.stderr}"
        return done.stdout.strip().splitlines()[-1]

    def logs(self) -> str:
        return "\n".join(f"== {file.name}\n{file.read_text()[-3000:]}" for file in sorted(self.home.glob("*.log")))

    def end(self) -> None:
        """All of it, the processes of killed parts, too."""
        left = [*with_children([psutil.Process(self.manager.pid)]), *with_children(of_home(self.home))]
        for one in left:
            kill(one)
        self.manager.wait()
        shutil.rmtree(self.layout.data, ignore_errors=True)


def _make_database(home: Path) -> str | None:
    """What the image of PostgreSQL makes at its first start; returns the user that the server must be run as."""
    url = start_embedded(home)
    engine = create_engine(with_driver(url), isolation_level="AUTOCOMMIT")
    quoted = PASSWORD.replace("'", "''").replace(":", r"\:")
    with engine.connect() as connection:
        connection.execute(text(f"create role coordinator superuser login password '{quoted}'"))
        connection.execute(text("create database coordinator owner coordinator"))
    engine.dispose()
    stop_embedded(home)
    access = home / ".coordinator" / "postgres" / "pg_hba.conf"
    access.write_text("host all all all scram-sha-256\n")
    return access.owner() if os.getuid() == 0 else None
