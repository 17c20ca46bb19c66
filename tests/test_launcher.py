"""Which definitions a folder's Dagster loads: its own definitions.py, or the module."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from coordinator_dagster.competition import Competition
from coordinator_dagster.errors import UserError
from coordinator_dagster.launcher import CodeServer, dagster_dev_command, service_commands

Make = Callable[..., Competition]
TWO = "load_from:\n  - python_file: ../a/definitions.py\n  - python_file: ../b/definitions.py\n"


def served(competition: Competition, alone: bool = False) -> Any:
    """The workspace of `dagster dev`: its path, and what it loads."""
    command = dagster_dev_command(competition, "127.0.0.1", 3000, alone)
    path = command[command.index("-w") + 1]
    return path, yaml.safe_load(Path(path).read_text())["load_from"]


def server_options(competition: Competition) -> tuple[list[str], str]:
    """What the code server of `coordinator live` loads, and how that is named in the UI."""
    commands = service_commands(competition, CodeServer(socket=Path("/run/code")), "127.0.0.1", 3000)
    assert commands.webserver[1] == commands.daemon[2] == "-w"
    assert commands.webserver[2] == commands.daemon[3]
    ((_, server),) = yaml.safe_load(Path(commands.daemon[3]).read_text())["load_from"][0].items()
    assert server["socket"] == "/run/code"
    return list(commands.code_server[5:]), server["location_name"]


def test_without_files_of_its_own_the_module(competition: Make) -> None:
    module = {"module_name": "coordinator_dagster.definitions", "location_name": "coordinator"}
    made = competition()
    assert served(made)[1] == [{"python_module": module}]
    assert server_options(made) == (["-m", "coordinator_dagster.definitions"], "coordinator")


def test_a_node_is_loaded_by_its_own_file_and_named_by_its_competition(competition: Make, tmp_path: Path) -> None:
    file = tmp_path / "definitions.py"
    file.touch()
    made = competition()
    name = made.settings.competition
    location = {"relative_path": str(file), "working_directory": str(tmp_path), "location_name": name}
    assert served(made)[1] == [{"python_file": location}]
    assert server_options(made) == (["-f", str(file), "-d", str(tmp_path)], name)


def test_its_own_workspace_goes_before(competition: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "workspace.yaml"
    own.write_text(TWO)
    made = competition()
    with pytest.raises(UserError, match=f"COMPETITION={made.settings.competition} in the environment would name every"):
        served(made)
    assert served(made, alone=True)[0] != str(own), "the demo would be shown twice"
    monkeypatch.delenv("COMPETITION")
    assert served(made)[0] == str(own)
