"""A competition of two players: an hour that is settled and one without truths. What nobody else may read is marked.

Slots (`provide_raw_input`) and the models of both are here.
"""

from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from coordinator_dagster.competition import Competition
from coordinator_dagster.keys import digest, key_of, new_secret
from coordinator_dagster.levers.carry_out import carry_out
from coordinator_dagster.levers.request import Request
from coordinator_dagster.runtime import open_runtime
from coordinator_dagster.store.store import open_store
from slots.market import utc
from tests.report.conftest import Make

SETTLED, VOIDED, PENDING = "2026-01-05T00:30:00Z", "2026-01-05T00:40:00Z", "2026-01-05T01:45:00Z"
GIVEN = "marker-of-the-input"
ORDERED_BY = "marker-of-the-operator"
# What each player's models answer while there is no truth: so great that no rounding hides its first seven digits.
ANSWERED = {"ada": 731415.9265, "bob": 827182.8182}

ANSWERS = """from slots.tracker import TrackerBase
class Model(TrackerBase):
    def tick(self, data):
        print("{player}-printed")
        self.settled = data["asof_ts"] < {second_hour}
    def predict(self, asset, horizon, step):
        return {{"value": 0.001 if self.settled else {answered}}}
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


@dataclass(frozen=True)
class World:
    """The competition, and keys by who holds them: operator, ada, bob, and carl, who has no model."""

    competition: Competition
    keys: dict[str, str]


def play(competition: Make, models: Path, **settings: Any) -> World:
    """Two hours are forecast, the first is settled; in it one cycle is VOID by an order."""
    second_hour = int(utc("2026-01-05T01:00Z").timestamp())
    for player, answered in ANSWERED.items():
        for name, source in (("answers", ANSWERS), ("breaks", BREAKS)):
            folder = models / f"{player}-{name}"
            folder.mkdir(parents=True)
            (folder / "main.py").write_text(source.format(player=player, second_hour=second_hour, answered=answered))
            (folder / "model.toml").write_text(f'player_id = "{player}"\nplayer_name = "{player.title()}"\n')
    chosen = {"raw_input_provider": f"{__name__}:provide_raw_input", "models_dir": models, **settings}
    made = competition(**chosen)
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
