"""Generates a competition from the template, as `copier copy` does, and runs what comes out."""

import os
import subprocess
from pathlib import Path
from typing import Any

import copier

from coordinator_dagster.settings import Settings
from slots.contracts import SLOT_NAMES

PROJECT = Path(__file__).parents[2]
START = "2026-01-05T00:00Z"
OURS = {*(name.upper() for name in Settings.model_fields), *SLOT_NAMES, "PYTHONPATH", "VIRTUAL_ENV"}
PREFIXES = ("COORDINATOR_", "DAGSTER_", "PYTEST_", "MAKE", "MFLAGS")
ANSWERS = {"name": "btc-vol", "feed": "simulated", "start": START}


def generate(template: Path, folder: Path, **answers: Any) -> tuple[Path, Path]:
    """A workspace in `folder`, from the template's newest tag: the participants' repo and the node."""
    given = {**ANSWERS, **answers}
    copier.run_copy(str(template), folder, data=given, defaults=True, quiet=True)
    return folder / f"crunch-{given['name']}", folder / f"crunch-node-{given['name']}"


def git(repo: Path, *arguments: str) -> str:
    """What git printed, as somebody who is known by name."""
    who = ("-c", "user.name=Operator", "-c", "user.email=operator@example.org", "-c", "commit.gpgsign=false")
    return subprocess.run(["git", *who, *arguments], cwd=repo, check=True, capture_output=True, text=True).stdout


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """What the command printed; AssertionError with all of it when it fails. It sees no setting of ours."""
    kept = {name: value for name, value in os.environ.items() if not (name in OURS or name.startswith(PREFIXES))}
    kept["PIP_NO_COMPILE"] = "1"  # a third of an installation
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={**kept, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))} in {cwd}: exit code {done.returncode}\n{done.stdout}"
    return done.stdout
