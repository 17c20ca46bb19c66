"""What is known of each model: what the orchestrator said of it last, and what became of its node."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from coordinator_dagster.runners.answers import clean
from coordinator_dagster.runners.base import ModelInfo

STARTING = {"BAD_IMPLEMENTATION", "MULTIPLE_FAILED", "USAGE"}  # a node that answered, but did not take the model up


@dataclass
class Standing:
    """One model: `state` and `since` as the orchestrator announced them, `trouble` with its node since then."""

    info: ModelInfo
    state: str = ""
    since: datetime | None = None
    trouble: tuple[str, str] | None = None  # a code of the client's (or USAGE), and words
    seen: datetime | None = None  # it was asked last
    known: bool = False  # it has been set up once, or a node that answered could not


@dataclass
class Roster:
    """The models of the competition, by id. Written in the connection's thread alone."""

    standings: dict[str, Standing] = field(default_factory=dict)
    empty: bool = True  # the orchestrator has named no model since its last list

    def seed(self, models: Iterable[ModelInfo]) -> None:
        """Models that took part before: they are known, whatever the orchestrator says."""
        for info in models:
            self.standings[info.id] = Standing(info, known=True)

    def known(self) -> dict[str, ModelInfo]:
        """The models that take part, ordered by id. A newcomer does once its node has answered."""
        return {id_: one.info for id_, one in sorted(self.standings.items()) if one.known}

    def listed(self, ids: Iterable[str]) -> None:
        """A new list has come: the models that are not on it have gone."""
        running = set(ids)
        self.empty = not running
        for id_, one in self.standings.items():
            if id_ not in running and one.state in ("", "RUNNING"):
                one.state, one.since = "GONE", datetime.now(UTC)

    def announced(self, message: Mapping[str, Any]) -> None:
        """News of one model. That an older deployment was stopped is none."""
        info, state = info_of(message), str(message.get("state"))
        before = self.standings.get(info.id)
        if state != "RUNNING":
            if before and before.info.deployment == info.deployment:
                before.state, before.since = state, datetime.now(UTC)
            return
        self.empty = False
        if before is None:
            self.standings[info.id] = Standing(info, state, datetime.now(UTC))
        else:
            if before.info.deployment != info.deployment:
                before.trouble = None
            before.info, before.state, before.since = info, state, datetime.now(UTC)

    def set_up(self, model_id: str, deployment: str) -> None:
        if one := self.standings.get(model_id):
            one.info, one.trouble, one.known = replace(one.info, deployment=deployment), None, True

    def troubled(self, about: ModelInfo, code: str, words: str) -> None:
        """The client has given a node up. Of a deployment that has been replaced that is no news."""
        one = self.standings.get(about.id)
        if one and one.info.deployment == about.deployment:
            one.trouble = code, clean(words)
            one.known = one.known or code in STARTING


def info_of(message: Mapping[str, Any]) -> ModelInfo:
    """The orchestrator's message as ours; the wallet is what stays the same of a player."""
    about = message.get("infos") or {}
    id_, player = clean(message["model_id"]), clean(about.get("cruncher_id") or message["model_id"])
    return ModelInfo(
        id=id_,
        name=clean(about.get("model_name") or id_),
        deployment=clean(message.get("deployment_id") or ""),
        player_id=player,
        player_name=clean(about.get("cruncher_name") or player),
    )
