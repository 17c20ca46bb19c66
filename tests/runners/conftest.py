"""Fixtures of the runners' tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from local_models import Make, write

from coordinator_dagster.runners import sandbox
from coordinator_dagster.runners.local import LocalRunner


@pytest.fixture(params=["bubblewrap", "without"])
def make(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """A runner over models given as `name=source of main.py`; closed afterwards."""
    if request.param == "without":
        monkeypatch.setattr(sandbox, "find", lambda: None)
    elif sandbox.find() is None:
        pytest.skip("bubblewrap is not installed")
    runners: list[LocalRunner] = []

    def build(start_timeout: float = 20.0, **models: str) -> LocalRunner:
        for name, source in models.items():
            write(tmp_path, name, source)
        runners.append(LocalRunner(tmp_path / "models", log_dir=tmp_path / "logs", start_timeout=start_timeout))
        return runners[-1]

    yield build
    for runner in runners:
        runner.close()
