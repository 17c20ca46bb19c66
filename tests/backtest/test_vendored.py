"""The engine in a participants' repo is what a backtest needs of ours: all of it, and no more."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from slots.market import utc
from tests.backtest.tapes import candles

PROJECT = Path(__file__).parents[2]
ENGINE = PROJECT / "copier_template" / "public" / "{{ package }}" / "_engine"
START = "2026-01-05T00:00Z"
MODEL = PROJECT / "examples" / "models" / "trend_following"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    shutil.copytree(MODEL, home / "models" / "mine", ignore=shutil.ignore_patterns("__pycache__"))
    rules = json.loads((PROJECT / "packs" / "baseline.json").read_text())
    contest = {
        "name": "a",
        "start": START,
        "base_class": "slots.tracker.TrackerBase",
        "report_url": None,
        "settings": {},
    }
    (home / "contest.json").write_text(json.dumps({**contest, "slots": rules.pop("callables"), "rules": rules}))
    candles(home / "tape", utc(START), 60)
    return home


def run(code: Path, home: Path) -> list[str]:
    """The files that a small backtest takes of the packages in `code`."""
    command = [sys.executable, "-c", (PROJECT / "tests/backtest/vendored.py").read_text(), str(home)]
    result = subprocess.run(command, cwd=code, env={"HOME": "/"}, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert "mine: 60 SUCCESS" in result.stderr
    return result.stdout.splitlines()


def vendored() -> list[str]:
    return sorted(path.relative_to(ENGINE).as_posix() for path in ENGINE.rglob("*.py"))


def test_the_engine_is_what_a_backtest_takes(home: Path) -> None:
    taken = run(PROJECT, home)
    assert sorted(set(taken) - set(vendored())) == [], "link these below copier_template/public/…/_engine"
    assert sorted(set(vendored()) - set(taken)) == [], "nobody needs these; remove their links"


def test_the_engine_alone_is_enough(home: Path, tmp_path: Path) -> None:
    shutil.copytree(ENGINE, tmp_path / "copy", ignore=shutil.ignore_patterns("__pycache__"))
    assert run(tmp_path / "copy", home) == vendored()


def test_each_file_is_a_link_to_ours() -> None:
    for name in vendored():
        assert (ENGINE / name).is_symlink() and (ENGINE / name).resolve() == PROJECT / name
