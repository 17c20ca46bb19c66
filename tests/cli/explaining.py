"""An hour or two of a competition, and what there is to explain of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from coordinator_dagster.competition import Competition
from coordinator_dagster.explain import explanation
from coordinator_dagster.replay import replay
from coordinator_dagster.runtime import open_runtime
from coordinator_dagster.store.store import open_store
from slots.market import utc

Make = Callable[..., Competition]
WriteModel = Callable[[str, str], Path]
Explain = Callable[..., tuple[int, str, str]]

MODEL = """from slots.tracker import TrackerBase
class Model(TrackerBase):
    def tick(self, data): pass
    def predict(self, asset, horizon, step):
        {}
"""
START = utc("2026-01-05T00:00Z")
INSTANT = "2026-01-05T00:15Z"  # both configs of the tournament are due
AT = utc(INSTANT)
IN, OUT = "btc-in-sample", "btc-out-of-sample"


def run(competition: Competition, *windows: int) -> None:
    with open_runtime(competition) as runtime:
        every = competition.windows.between(competition.start, competition.settings.competition_end)
        replay(runtime, [every[place] for place in windows] or every, lambda done: None)


def explain(competition: Competition, *arguments: Any) -> dict[str, Any]:
    store = open_store(competition)
    try:
        return explanation(competition, store, *arguments)
    finally:
        store.close()
