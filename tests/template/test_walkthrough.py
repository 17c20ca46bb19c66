"""docs/walkthrough.md works as it is written; its times are printed."""

import os
import re
import sys
import time
from pathlib import Path

import pytest

from tests.template.generating import PROJECT, run

PAGE = PROJECT / "docs" / "walkthrough.md"
BLOCK = re.compile(r"^```(shell|(?:json|python|toml) (\S+))\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks() -> list[tuple[str | None, str]]:
    """What the page says, in its order: a file's path and text, or None and commands."""
    return [(match[2], match[3]) for match in BLOCK.finditer(PAGE.read_text())]


def test_the_page_has_commands_and_files() -> None:
    assert len([path for path, _ in blocks() if path is None]) >= 6
    assert {Path(path).name for path, _ in blocks() if path} >= {"pack.json", "volatility.py", "scoring.py", "main.py"}


@pytest.mark.template
@pytest.mark.timeout(1200)
@pytest.mark.skipif(os.environ.get("COORDINATOR_TEST_TEMPLATES") != "all", reason="make test-templates runs it")
def test_the_walkthrough_works(template: Path, tmp_path: Path) -> None:
    environment = {
        "COORDINATOR": str(template),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",  # where copier is
        "FEED_BASE_URL": "http://127.0.0.1:9",  # no venue is asked
        **{
            f"GIT_{who}_{what}": "operator@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        },
    }
    for path, text in blocks():
        if path:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)
            continue
        began = time.monotonic()
        shown = run("bash", "-euo", "pipefail", "-c", text, cwd=tmp_path, **environment)
        print(f"\n{time.monotonic() - began:.0f} s:\n{text}{shown}")
    leaderboard = run("scripts/coordinator", "models", "list", cwd=tmp_path / "work" / "crunch-node-btc-volatility")
    assert "Steady" in leaderboard and "Ada" in leaderboard
