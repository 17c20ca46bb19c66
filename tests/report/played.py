"""A competition for the pages: an hour or more of it run, with models whose names and faults are hostile."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from coordinator_dagster.competition import Competition, read_competition
from coordinator_dagster.replay import replay
from coordinator_dagster.runtime import open_runtime
from coordinator_dagster.store.database import Database
from tests.conftest import PROJECT, drop

SCRIPT, IMAGE = "<script>alert(1)</script>", '"><img src=x>'
PRIVATE = "private words of a model"
RAISES = f"""
from slots.tracker import TrackerBase

class Model(TrackerBase):
    asked = 0

    def predict(self, asset, horizon, step):
        self.asked += 1
        if self.asked % EVERY == 0:
            raise ValueError({PRIVATE + " " + IMAGE!r})
        return {{"value": 0.0001234}}
"""


@contextmanager
def played(database_url: str, home: Path, name: str, windows: int, **settings: Any) -> Iterator[Competition]:
    """The first hours of a competition of three; its schema is dropped in the end."""
    models = home / "models"
    shutil.copytree(PROJECT / "examples" / "models", models)
    add_model(models, "hostile", SCRIPT, IMAGE, every=5)
    add_model(models, "broken", "Broken", "somebody", every=1)
    schema = f"test_{os.getpid()}_{name}"
    drop(database_url, schema)
    chosen = {
        "competition": schema.replace("_", "-"),
        "database_url": database_url,
        "competition_start": "2026-01-05T00:00Z",
        "competition_end": "2026-01-05T03:00Z",
        "models_dir": models,
        "model_preload": "math",
        "model_layers_waived": "all",
        "model_suspension_seconds": 3600,
        **settings,
    }
    with pytest.MonkeyPatch.context() as environment:
        for key, value in chosen.items():
            environment.setenv(key.upper(), str(value))
        made = read_competition(home)
        run_windows(made, 0, windows)
    yield made
    drop(database_url, schema)


def add_model(models: Path, folder: str, name: str, player: str, every: int) -> None:
    """One that raises each so many times it is asked."""
    (models / folder).mkdir()
    (models / folder / "main.py").write_text(RAISES.replace("EVERY", str(every)))
    (models / folder / "model.toml").write_text(
        f"name = '{name}'\nplayer_id = 'player-{folder}'\nplayer_name = '{player}'\n"
    )


def run_windows(made: Competition, first: int, end: int) -> None:
    """Those windows of the competition, to their leaderboards."""
    with open_runtime(made) as runtime:
        replay(runtime, made.windows.between(made.start, made.closing)[first:end], lambda done: None)


@contextmanager
def tables(made: Competition) -> Iterator[Database]:
    """The competition's tables, for what only a test does to them."""
    assert made.settings.database_url
    database = Database(made.settings.database_url.get_secret_value(), made.schema)
    yield database
    database.close()
