"""Nodes as `copier copy` makes them, each with its copy of the packages and an environment of its own."""

import os
import sysconfig
import venv
from pathlib import Path

import yaml
from dotenv import dotenv_values

from tests.template.generating import generate
from tests.ui import environment

# In each node another module of the same name: a node must find its own.
SLOT = """
def score_prediction(prediction, ground_truth):
    return {{"value": {score}, "success": True, "failed_reason": None}}
"""


def make_node(template: Path, parent: Path, name: str, score: float, **settings: object) -> Path:
    """A generated node of the competition `name`, whose slot scores everything with `score`; its folder."""
    spec = {"callables": {"SCORING_FUNCTION": "runtime_definitions.own:score_prediction"}}
    _, node = generate(template, parent / name, name=name, spec=spec)
    (node / "runtime_definitions" / "own.py").write_text(SLOT.format(score=score))
    write_settings(node, **{**dotenv_values(node / ".local.env"), **settings})
    _use_this_python(node)
    return node


def write_settings(folder: Path, **settings: object) -> None:
    (folder / ".local.env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))


def write_workspace(folder: Path, nodes: list[Path]) -> None:
    """These nodes, each in its own environment, in the workspace.yaml of the folder."""
    entries = [
        {
            "relative_path": os.path.relpath(node / "definitions.py", folder),
            "working_directory": os.path.relpath(node, folder),
            "location_name": node.name.removeprefix("crunch-node-"),
            "executable_path": str(python_of(node)),
        }
        for node in nodes
    ]
    (folder / "workspace.yaml").write_text(yaml.safe_dump({"load_from": [{"python_file": one} for one in entries]}))


def python_of(node: Path) -> Path:
    return node / ".venv" / "bin" / "python"


def clean_environment() -> dict[str, str]:
    """Nothing in it says which folder or which packages."""
    given = environment(Path())
    return {name: value for name, value in given.items() if name not in ("COORDINATOR_HOME", "PYTHONPATH")}


def _use_this_python(node: Path) -> None:
    """As `make setup` does it, with the libraries that are here."""
    venv.create(node / ".venv", symlinks=True)
    purelib = sysconfig.get_path("purelib", vars={"base": str(node / ".venv"), "platbase": str(node / ".venv")})
    (Path(purelib) / "node.pth").write_text(f"{node / 'runtime'}\n{sysconfig.get_path('purelib')}\n")
