"""What the tests of health share."""

from pathlib import Path

import pytest

from coordinator_dagster.competition import Competition, read_competition


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Competition:
    """A live competition that nobody opens: readings are made up."""
    settings = {
        "MODE": "live",
        "COMPETITION_START": "1970-01-01T00:00Z",
        "DATABASE_URL": "postgresql://nobody@nowhere/x",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return read_competition(tmp_path)
