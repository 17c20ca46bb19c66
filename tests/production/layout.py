"""What docker/compose.yaml deploys, as programs of a process manager: what is tested is what is deployed."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from coordinator_dagster.settings import Settings
from coordinator_dagster.store.embedded import psql_program
from slots.contracts import SLOT_NAMES
from tests.cli.serving import free_port
from tests.conftest import PROJECT

CODE = "code-blue"
PORTS = {"database": 5432, CODE: 4000, "webserver": 3000, "report": 8000}  # in their containers
PARTS = ("database", CODE, "daemon", "webserver", "report")
BIN = Path(sys.executable).parent
PROGRAMS = {"coordinator": [sys.executable, "-c", "from coordinator_dagster.cli import main; main()"]}
OURS = {name.upper() for name in [*Settings.model_fields, *SLOT_NAMES, "DAGSTER_HOME", "DAGSTER_POSTGRES_URL"]}
HEALTH_SECONDS = 60


def composed(folder: Path, *options: str, file: Path = PROJECT / "docker" / "compose.yaml") -> Any:
    """The compose file as Docker would take it for the competition in the folder, every variable filled in."""
    command = [BIN / "docker-compose", "--project-directory", folder, "--file", file, *options]
    if (folder / ".local.env").exists():
        command += ["--env-file", folder / ".local.env"]
    environment = {name: value for name, value in os.environ.items() if name not in OURS}
    done = subprocess.run(
        [*map(str, command), "config", "--format", "json"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Layout:
    """The parts in a folder: its `.local.env`, its secrets, and the ports that they have here."""

    def __init__(self, home: Path, settings: Mapping[str, str], password: str) -> None:
        self.home = home
        self.ports = {name: int(free_port()) for name in PORTS}
        (home / ".local.env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        secrets = home / "docker" / "secrets"
        secrets.mkdir(parents=True)
        (secrets / "database_password").write_text(password + "\n")
        (secrets / "failure_webhook_url").touch()  # says nothing
        config = composed(home, "--profile", "blue", "--profile", "database")
        self.services = {name: config["services"][name] for name in PARTS}
        self.places = {"/run/secrets": str(secrets), "/app/healthy": str(PROJECT / "docker" / "healthy")}
        mounts = [one for service in self.services.values() for one in service.get("volumes", [])]
        self.places |= {one["target"]: one["source"] for one in mounts if one["type"] == "bind"}
        self.places["/app/node"] = str(home)

    def here(self, part: str, said: str) -> str:
        """What is said of a container, of this machine: places, addresses, ports."""
        for there, place in self.places.items():
            said = said.replace(there, place)
        for name, port in PORTS.items():
            address = f"127.0.0.1:{self.ports[name]}"
            said = said.replace(f"{name}:{port}", address).replace(f"@{name}/", f"@{address}/")
        own = self.ports.get(part)
        said = said.replace(f"127.0.0.1:{PORTS.get(part)}", f"127.0.0.1:{own}").replace("0.0.0.0", "127.0.0.1")
        return str(own) if said == str(PORTS.get(part)) else said

    def environment(self, part: str) -> dict[str, str]:
        """Of a part's process, with what the image sets."""
        said = self.services[part].get("environment", {})
        found = {name: self.here(part, value) for name, value in said.items() if value is not None}
        found |= {"COORDINATOR_HOME": str(self.home), "SECRETS_DIR": self.places["/run/secrets"]}
        return found | {"DAGSTER_HOME": f"{self.home}/.coordinator/dagster", "PYTHONPATH": str(PROJECT)}

    def command(self, part: str) -> list[str]:
        """A part's command line; the database's image has one of its own."""
        if part == "database":
            options = ["-D", str(self.data), "-h", "127.0.0.1", "-p", str(self.ports[part]), "-k", str(self.data)]
            return [str(psql_program().with_name("postgres")), *options]
        return [*PROGRAMS["coordinator"], *(self.here(part, one) for one in self.services[part]["command"])]

    @cached_property
    def data(self) -> Path:
        """PostgreSQL's, in a folder that its own user may reach."""
        return (self.home / ".coordinator" / "postgres").resolve()

    def is_healthy(self, part: str) -> bool:
        """What the container's health check says."""
        kind, *test = self.services[part]["healthcheck"]["test"]
        assert kind == "CMD", test
        path = os.pathsep.join([str(BIN), str(psql_program().parent), os.environ["PATH"]])
        port = {"PGPORT": str(self.ports["database"])}
        done = subprocess.run(
            [self.here(part, one) for one in test],
            env={"PATH": path, **port, **self.environment(part)},
            capture_output=True,
            timeout=HEALTH_SECONDS,
            check=False,
        )
        return done.returncode == 0

    def manager(self, user: str | None) -> str:
        """A supervisord.conf of the parts: started again as the compose file says, each alone."""
        socket = self.home / "manager"
        lines = [
            "[supervisord]",
            f"logfile={self.home}/manager.log",
            f"pidfile={self.home}/manager.pid",
            "nodaemon=true",
        ]
        lines += ["[unix_http_server]", f"file={socket}", "[rpcinterface:supervisor]"]
        lines += ["supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface"]
        for part in PARTS:
            assert self.services[part]["restart"] == "unless-stopped"
            told = ",".join(f"{name}={json.dumps(value)}" for name, value in self.environment(part).items())
            lines += [f"[program:{part}]", f"command={shlex.join(self.command(part))}".replace("%", "%%")]
            lines += [f"environment={told}".replace("%", "%%"), f"directory={self.home}"]
            lines += ["autorestart=true", "startretries=1000", "startsecs=1"]
            lines += [f"stdout_logfile={self.home}/{part}.log", "redirect_stderr=true", "stdout_logfile_maxbytes=0"]
            if part == "database" and user:
                lines.append(f"user={user}")
        return "\n".join(lines) + "\n"
