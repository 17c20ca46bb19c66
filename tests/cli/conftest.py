"""What the tests of `coordinator explain` share."""

import sys

import pytest

from coordinator_dagster.cli import main
from coordinator_dagster.cli.console import console
from tests.cli.explaining import Explain


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Explain:
    """Types `coordinator explain …`; exit code, output, errors."""
    monkeypatch.setattr(console, "width", 200)

    def explain(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["coordinator", "explain", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return explain
