"""Commands as they are typed."""

import sys
from collections.abc import Callable
from functools import partial

import pytest

from coordinator_dagster.cli import main
from coordinator_dagster.cli.console import console
from tests.cli.explaining import Explain


@pytest.fixture
def type_in(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Types `coordinator …`; exit code, output, errors."""
    monkeypatch.setattr(console, "width", 200)

    def type_(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["coordinator", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return type_


@pytest.fixture
def typed(type_in: Callable[..., tuple[int, str, str]]) -> Explain:
    """Types `coordinator explain …`."""
    return partial(type_in, "explain")
