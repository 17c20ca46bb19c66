"""Packs made for one test."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coordinator_dagster.packs import available_packs
from tests.original_faults import odd_slots

WritePack = Callable[..., Path]


@pytest.fixture
def pack(tmp_path: Path) -> WritePack:
    """Writes the baseline pack with another cadence, horizon (seconds) or rule; returns its path."""

    def write(every: int = 60, horizon: int = 60, callables: dict[str, str] | None = None, **rules: Any) -> Path:
        content = json.loads(available_packs()["baseline"].read_text())
        (config,) = content["scheduled_prediction_configs"]
        config["schedule"] = {"every_seconds": every}
        config["scope_template"] |= {"horizon_seconds": horizon}
        content["callables"] |= callables or {}
        path = tmp_path / "pack.json"
        path.write_text(json.dumps(content | {"id": "for-a-test"} | rules))
        return path

    return write


@pytest.fixture(autouse=True)
def nothing_asked() -> None:
    """The odd slots remember nothing of an earlier test."""
    odd_slots.asked.clear()


@pytest.fixture(autouse=True)
def small_inputs(clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten candles in an input are enough here."""
    monkeypatch.setenv("FEED_CANDLES_WINDOW", "10")
