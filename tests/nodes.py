"""Node folders as `copier copy` makes them, each with its copy of the packages and an environment of its own."""

import os
import shutil
import sysconfig
import venv
from pathlib import Path

import yaml

from tests.ui import PROJECT, environment

DEFINITIONS = '''"""What Dagster loads of this competition; workspace.yaml names it."""

from pathlib import Path

from coordinator_dagster.code_location import build_definitions
from coordinator_dagster.competition import read_competition

defs = build_definitions(read_competition(Path(__file__).parent))
'''
# In each node another module of the same name: a node must find its own.
SLOT = """
def score_prediction(prediction, ground_truth):
    return {{"value": {score}, "success": True, "failed_reason": None}}
"""


def make_node(parent: Path, name: str, score: float, **settings: object) -> Path:
    """A node of the competition `name`, whose slot scores everything with `score`; its folder."""
    node = parent / f"crunch-node-{name}"
    (node / "config").mkdir(parents=True)
    shutil.copytree(PROJECT / "examples" / "models", node / "models")
    shutil.copyfile(PROJECT / "packs" / "baseline.json", node / "config" / "pack.json")
    (node / "config" / "scoring.py").write_text(SLOT.format(score=score))
    (node / "config" / "callables.env").write_text("SCORING_FUNCTION=config.scoring:score_prediction\n")
    (node / "definitions.py").write_text(DEFINITIONS)
    write_settings(node, COMPETITION=name, PACK="config/pack.json", MODELS_DIR="models", **settings)
    shutil.copyfile(PROJECT / "dagster.yaml", node / "dagster.yaml")
    write_workspace(node, [node])
    _install_runtime(node)
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


def _install_runtime(node: Path) -> None:
    """What `pip install -e ./runtime` does, with the libraries of this Python."""
    for package in ("coordinator_dagster", "slots", "packs"):
        shutil.copytree(PROJECT / package, node / "runtime" / package, ignore=shutil.ignore_patterns("__pycache__"))
    venv.create(node / ".venv", symlinks=True)
    purelib = sysconfig.get_path("purelib", vars={"base": str(node / ".venv"), "platbase": str(node / ".venv")})
    (Path(purelib) / "node.pth").write_text(f"{node / 'runtime'}\n{sysconfig.get_path('purelib')}\n")
