"""docker/deploy, with a `docker` that only notes what it is asked: which code server is touched, and when none is."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from tests.conftest import PROJECT

DOCKER = """#!/bin/sh
echo "$*" >> "$TOLD/asked"
case "$*" in
  *"ps --quiet code-blue") cat "$TOLD/blue" ;;
  *"ps --quiet code-green") cat "$TOLD/green" ;;
  "top "*) cat "$TOLD/top" ;;
  *"config --services") printf 'daemon\\nwebserver\\nreport\\n' ;;
  *"run "*" code-green validate "*) exit "$(cat "$TOLD/green-is-refused")" ;;
  *"up "*" code-green") exit "$(cat "$TOLD/green-exits")" ;;
esac
"""
A_RUN = "PID COMMAND\n7 python -c from multiprocessing.spawn import spawn_main --multiprocessing-fork\n"
NO_RUN = "PID COMMAND\n7 dagster api grpc -h 0.0.0.0 -p 4000\n"


class Folder:
    """A competition's folder, and what Docker says there."""

    def __init__(self, path: Path) -> None:
        self.path, self.told = path / "competition", path / "told"
        (self.path / "docker").mkdir(parents=True)
        self.told.mkdir()
        for name in ("deploy", "compose.yaml"):
            shutil.copy(PROJECT / "docker" / name, self.path / "docker" / name)
        (self.path / ".local.env").write_text("COMPETITION=deployed\n")
        (path / "docker").write_text(DOCKER)
        (path / "docker").chmod(0o755)
        self.say(blue="", green="", top=NO_RUN, **{"green-exits": "0", "green-is-refused": "0"})
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("DATABASE")}
        self.environment |= {"PATH": f"{path}:{os.environ['PATH']}", "TOLD": str(self.told)}

    def say(self, **answers: str) -> None:
        for name, text in answers.items():
            (self.told / name).write_text(text)

    def deploy(self, *arguments: str, **environment: str) -> tuple[int, str, list[str]]:
        """Exit code, what it said, and what Docker was asked to do, without the files and folders."""
        (self.told / "asked").write_text("")
        done = subprocess.run(
            [self.path / "docker" / "deploy", *arguments],
            env=self.environment | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        asked = [line.split("docker/.env ")[-1] for line in (self.told / "asked").read_text().splitlines()]
        changed = [line.removeprefix("--profile * ") for line in asked if " ps " not in line and "config" not in line]
        return done.returncode, done.stdout + done.stderr, [line for line in changed if not line.startswith("top")]

    def code(self) -> str:
        return (self.path / "docker" / ".env").read_text()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


UP = "up --detach --no-deps --wait --wait-timeout 300"


def test_the_first_one_starts_everything(folder: Folder) -> None:
    code, _, asked = folder.deploy()
    assert code == 0
    assert asked == [
        "rm --stop --force code-blue",
        "build code-blue",
        f"{UP} database",
        "run --rm --no-deps code-blue validate --offline --stored",
        f"{UP} code-blue",
        f"{UP} daemon webserver report",
    ]
    assert folder.code() == "CODE=blue\n"
    secrets = folder.path / "docker" / "secrets"
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    assert len((secrets / "database_password").read_text()) == 40
    assert (secrets / "failure_webhook_url").read_text() == ""


def test_the_next_one_starts_the_other_and_leaves_the_first_its_runs(folder: Folder) -> None:
    folder.deploy(DATABASE_PASSWORD="chosen")
    folder.say(blue="container-of-blue", top=A_RUN)
    code, _, asked = folder.deploy()
    assert code == 0 and folder.code() == "CODE=green\n"
    assert not [line for line in asked if "blue" in line]
    assert (folder.path / "docker" / "secrets" / "database_password").read_text() == "chosen"
    for command in ("retire", "deploy"):
        code, said, asked = folder.deploy(command)
        assert code == 1 and "code-blue still has runs; its live run hands over at the end" in said
        assert asked == [], "nothing is built or stopped while it has"
    folder.say(top=NO_RUN)
    assert folder.deploy("retire")[2] == ["rm --stop --force code-blue"]


def test_one_that_is_refused_is_not_started(folder: Folder) -> None:
    folder.deploy()
    folder.say(**{"green-is-refused": "1"})
    code, said, asked = folder.deploy()
    assert code == 1 and "what is here is refused, see above; nothing has changed" in said
    assert asked[-1].endswith("code-green validate --offline --stored")
    assert folder.code() == "CODE=blue\n"


def test_one_that_does_not_become_healthy_changes_nothing(folder: Folder) -> None:
    folder.deploy()
    folder.say(**{"green-exits": "1"})
    code, said, asked = folder.deploy()
    assert code == 1 and "the new code server did not become healthy, see above; code-green is removed" in said
    assert asked[-2:] == ["logs --tail 50 code-green", "rm --stop --force code-green"]
    assert folder.code() == "CODE=blue\n"


def test_what_is_missing_or_unknown_is_said(folder: Folder) -> None:
    assert "compose is no command; there are deploy, retire" in folder.deploy("compose")[1]
    (folder.path / ".local.env").unlink()
    code, said, asked = folder.deploy()
    assert code == 1 and f".local.env is missing in {folder.path}; write COMPETITION" in said and asked == []


def test_with_a_server_of_its_own_no_database_is_started(folder: Folder) -> None:
    (folder.path / ".local.env").write_text("DATABASE_URL=postgresql://coordinator@db.example.org/coordinator\n")
    assert not [line for line in folder.deploy()[2] if "database" in line]
