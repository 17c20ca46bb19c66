"""A competition of two players: an hour that is settled and one without truths. What nobody else may read is marked.

Two slots and the models of both are here.
"""

from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from coordinator_dagster.competition import Competition
from coordinator_dagster.keys import digest, key_of, new_secret
from coordinator_dagster.levers.carry_out import carry_out
from coordinator_dagster.levers.request import Request
from coordinator_dagster.runtime import open_runtime
from coordinator_dagster.store.store import open_store
from slots import defaults
from slots.market import utc
from tests.report.conftest import Make

# When an answer of the player cannot be scored.
UNSCORED = {"ada": "2026-01-05T00:20:00Z", "bob": "2026-01-05T00:21:00Z"}
SETTLED, VOIDED, PENDING = "2026-01-05T00:30:00Z", "2026-01-05T00:40:00Z", "2026-01-05T01:45:00Z"
GIVEN = "marker-of-the-input"
ORDERED_BY = "marker-of-the-operator"
FEED_KEY = "marker-of-the-feed"  # in the address of the operator's feed
# What each player's models answer while there is no truth: so great that no rounding hides its first seven digits.
ANSWERED = {"ada": 731415.9265, "bob": 827182.8182}

ANSWERS = """from slots.tracker import TrackerBase
class Model(TrackerBase):
    def tick(self, data):
        print("{player}-printed")
        self.at = data["asof_ts"]
    def predict(self, asset, horizon, step):
        if self.at == {unscored}:
            return {{"value": 0.002, "by": "{player}"}}
        return {{"value": 0.001 if self.at < {second_hour} else {answered}}}
"""
BREAKS = """from slots.tracker import TrackerBase
class Model(TrackerBase):
    def tick(self, data):
        self.even = data["asof_ts"] // 60 % 2 == 0
    def predict(self, asset, horizon, step):
        if self.even:
            return {{"value": "{player}-raw"}}
        raise ValueError("{player}-raised")
"""


def provide_raw_input(now: datetime) -> dict[str, Any]:
    return {"asof_ts": int(now.timestamp()), "note": GIVEN}


def score_prediction(prediction: dict[str, Any], ground_truth: dict[str, Any]) -> dict[str, Any]:
    if "by" in prediction:
        raise ValueError(f"{prediction['by']}-unscored")
    return defaults.score_prediction(prediction, ground_truth)


SLOTS = {"raw_input_provider": provide_raw_input, "scoring_function": score_prediction}


@dataclass(frozen=True)
class World:
    """The competition, and keys by who holds them: operator, ada, bob, and carl, who has no model."""

    competition: Competition
    keys: dict[str, str]


def play(competition: Make, models: Path) -> World:
    """Two hours are forecast, the first is settled; in it one cycle is VOID by an order."""
    for player, answered in ANSWERED.items():
        for name, source in (("answers", ANSWERS), ("breaks", BREAKS)):
            folder = models / f"{player}-{name}"
            folder.mkdir(parents=True)
            marked = {"player": player, "answered": answered, "unscored": seconds(UNSCORED[player])}
            (folder / "main.py").write_text(source.format(**marked, second_hour=seconds("2026-01-05T01:00Z")))
            (folder / "model.toml").write_text(f'player_id = "{player}"\nplayer_name = "{player.title()}"\n')
    slots = {slot: f"{__name__}:{function.__name__}" for slot, function in SLOTS.items()}
    made = competition(**slots, models_dir=models)
    windows = made.windows.between(made.start, made.closing)
    with open_runtime(made) as runtime:
        runtime.ingest(windows)
        runtime.archive([made.start.date()])
        runtime.build_inputs(windows)
        runtime.predict(windows)
        runtime.resolve(windows[:1])
        runtime.score(windows[:1])
        runtime.aggregate(windows[:1])
        runtime.rank(windows[:1])
        carry_out(runtime, Request("void", "a bad print", ORDERED_BY, at=utc(VOIDED)))
        (series,) = runtime.store.tape.series()
        missing = (utc(PENDING), utc(PENDING) + timedelta(minutes=5))
        runtime.store.gaps.failed(series, missing, runtime.clock.now(), f"GET http://me:{FEED_KEY}@feed.example: 403")
    return World(made, {name: make_key(made, name) for name in ("operator", *ANSWERED, "carl")})


def make_key(made: Competition, name: str) -> str:
    """A key of that name: the operator's, or that of the player so called."""
    secret = new_secret()
    role, player = ("operator", None) if name == "operator" else ("participant", name)
    with closing(open_store(made)) as store:
        id_ = store.keys.add(name, role, player, digest(secret))
    assert id_ is not None
    return key_of(id_, secret)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def seconds(at: str) -> int:
    return int(utc(at).timestamp())
