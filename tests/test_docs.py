"""Each command that the documentation shows works."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from coordinator_dagster.cli import app
from coordinator_dagster.runners.base import Call
from coordinator_dagster.runners.local import LocalRunner

PROJECT = Path(__file__).parents[1]
COORDINATOR = f'{sys.executable} -c "from coordinator_dagster.cli import main; main()"'


def commands(page: Path) -> list[str]:
    """The lines that begin with `$ ` in a page's console blocks."""
    blocks = re.findall(r"```console\n(.*?)```", page.read_text(), re.DOTALL)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines() if line.startswith("$ ")]


@pytest.mark.parametrize("page", sorted((PROJECT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_each_command_of_the_page_works(
    page: Path, competition: Callable[..., object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    examples = PROJECT / "examples" / "models"
    shutil.copytree(examples, tmp_path / "models")
    shutil.copytree(examples / "trend_following", tmp_path / "submissions" / "ada")
    competition(models_dir=tmp_path / "models")  # sets the environment of a small competition
    monkeypatch.chdir(tmp_path)
    for command in commands(page):
        code, output = typed_in_a_shell(command) if "postgres" in command else typed(command)
        assert code == 0, f"{command}\n{output}"
        assert "Traceback" not in output


def typed(command: str) -> tuple[int, str]:
    """The command in this process: starting one for each would take a minute."""
    done = CliRunner().invoke(app, shlex.split(command)[1:])
    return done.exit_code, f"{done.output}\n{done.exception or ''}"


def typed_in_a_shell(command: str) -> tuple[int, str]:
    """Where it becomes another program."""
    shell = command.replace("coordinator ", f"{COORDINATOR} ", 1)
    done = subprocess.run(shell, shell=True, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_the_pages_do_show_commands() -> None:
    shown = [command for page in (PROJECT / "docs").glob("*.md") for command in commands(page)]
    assert {line.split()[1] for line in shown} >= {"doctor", "validate", "replay", "leaderboard", "postgres"}


def test_links_in_readme_and_docs_lead_somewhere() -> None:
    for page in [PROJECT / "README.md", *(PROJECT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_model_that_is_shown_to_participants_answers(tmp_path: Path) -> None:
    shown = re.findall(r"```python\n(.*?)```", (PROJECT / "docs" / "participants.md").read_text(), re.DOTALL)
    (tmp_path / "models" / "shown").mkdir(parents=True)
    (tmp_path / "models" / "shown" / "main.py").write_text(shown[0])
    tick = b'{"candles_1m": [{"close": 100.0}, {"close": 101.0}]}'
    with LocalRunner(tmp_path / "models", preload=[]) as runner:
        assert runner.ask(tick, [Call(["BTC", 60, 60])], 10)["shown"][0].output == {"value": 0.010000000000000009}
