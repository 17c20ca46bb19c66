"""VENDORED.txt is what a participant's repository needs of ours: all of it, and no more."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.backtest.tapes import candles
from tests.backtest.vendored import START

PROJECT = Path(__file__).parents[2]
LIST = PROJECT / "coordinator_dagster" / "backtest" / "VENDORED.txt"
MODEL = PROJECT / "examples" / "models" / "trend_following"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    shutil.copytree(MODEL, home / "models" / "mine", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "packs" / "baseline.json", home / "pack.json")
    candles(home / "tape", START, 60)
    return home


def run(code: Path, home: Path) -> list[str]:
    """The files that a small backtest takes of the packages in `code`."""
    command = [sys.executable, "-c", (PROJECT / "tests/backtest/vendored.py").read_text(), str(home)]
    result = subprocess.run(command, cwd=code, env={"HOME": "/"}, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert "mine: 60 SUCCESS" in result.stderr
    return result.stdout.splitlines()


def test_the_list_is_what_a_backtest_takes(home: Path) -> None:
    taken, listed = run(PROJECT, home), LIST.read_text().splitlines()
    assert listed == sorted(set(listed)), "one path a line, sorted"
    assert sorted(set(taken) - set(listed)) == [], "add these to VENDORED.txt"
    assert sorted(set(listed) - set(taken)) == [], "nobody needs these; take them out of VENDORED.txt"


def test_the_listed_files_are_enough(home: Path, tmp_path: Path) -> None:
    for name in LIST.read_text().splitlines():
        (tmp_path / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / name, tmp_path / "copy" / name)
    assert run(tmp_path / "copy", home) == LIST.read_text().splitlines()
