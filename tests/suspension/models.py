"""Models that fail, hang and recover: as code for the local runner, and by script."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import orjson

from coordinator_dagster.runners.base import Answer, Call, ModelInfo
from tests.original_faults.world import START, Script, ScriptedRunner, always, said

MINUTE = timedelta(minutes=1)
HEAD = """from slots.tracker import TrackerBase
class Model(TrackerBase):
    def tick(self, data): self.minute = data["asof_ts"] // 60
    def predict(self, asset, horizon, step):
        {}
"""
RAISES = "raise ValueError('no idea')"
CODE = {
    "good": HEAD.format("return {'value': 0.0}"),
    "fair": HEAD.format("return {'value': 0.001}"),
    "bad": HEAD.format("return {'value': 0.02}"),
    "raises": HEAD.format(RAISES),
    "recovers": HEAD.format(f"if self.minute % 60 < 20: {RAISES}\n        return {{'value': 0.0005}}"),
}


def failed(reason: str = "ValueError: no idea (main.py:5)") -> Answer:
    return Answer("FAILED", 0.01, reason=reason)


def recovers(t: datetime) -> Answer:
    return failed(f"at {t.minute}") if t.minute < 20 else said(0.0005)


def flickers(t: datetime) -> Answer:
    """Nine failures, then an answer, for ever: it is never suspended."""
    return said(0.001) if t.minute % 10 == 9 else failed()


SCRIPTS: dict[str, Script] = {
    "good": always(0.0),
    "fair": always(0.001),
    "bad": always(0.02),
    "raises": lambda t: failed(),
    "recovers": recovers,
    "flickers": flickers,
    "hangs": lambda t: Answer("TIMEOUT", 60.0, reason="no answer within 60 s"),
    "late": lambda t: said(0.0, elapsed=7.0),
    "ours": lambda t: Answer("PLATFORM_FAULT", 0.0, reason="the zygote died"),
}


@dataclass
class RecordingRunner(ScriptedRunner):
    """Notes who was asked when; from an instant on a model may have another deployment."""

    redeployed: dict[str, datetime] = field(default_factory=dict)
    asked: dict[datetime, set[str]] = field(default_factory=dict)
    next_instant: datetime = START

    def models(self) -> Sequence[ModelInfo]:
        def deployment(name: str) -> str:
            return (
                "2"
                if self.redeployed.get(name, datetime.max.replace(tzinfo=START.tzinfo)) <= self.next_instant
                else "1"
            )

        return [ModelInfo(name, name, deployment(name), name, name) for name in sorted(self.scripts)]

    def ask(
        self, tick: bytes, calls: Sequence[Call], timeout: float, skip: Collection[str] = ()
    ) -> dict[str, list[Answer]]:
        t = datetime.fromtimestamp(orjson.loads(tick)["asof_ts"], START.tzinfo)
        self.asked[t] = set(self.scripts) - set(skip)
        self.next_instant = t
        answers = super().ask(tick, calls, timeout, skip)
        self.next_instant = t + MINUTE
        return answers
