"""A contest as participants see it: `contest.json`, the contract without what the operator keeps to himself."""

import inspect
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from coordinator_dagster.competition import Competition
from coordinator_dagster.errors import UserError, UserErrors
from coordinator_dagster.faults import pydantic_faults
from coordinator_dagster.packs import JsonObject, Pack, Strict
from coordinator_dagster.settings import Settings
from slots.contracts import SLOT_NAMES
from slots.loader import Slot, SlotPath
from slots.market import utc

# What changes a backtest's forecasts and scores.
SETTINGS = (
    "window",
    "feed_candles_window",
    "feed_backfill_minutes",
    "model_runner_timeout_seconds",
    "model_runner_max_consecutive_failures",
    "model_runner_max_consecutive_timeouts",
    "model_suspension_seconds",
)
PRIVATE = "private"


class Contest(Strict):
    """`slots` has a path for each public one, None for a private one; `rules` are the pack, without its callables."""

    name: str
    start: str
    base_class: str
    report_url: str | None
    settings: JsonObject
    slots: dict[str, str | None]
    rules: JsonObject

    @property
    def private(self) -> frozenset[str]:
        """The slots that only the node has."""
        return frozenset(name for name in SLOT_NAMES if not self.slots.get(name))

    def competition(self, home: Path) -> Competition:
        """The competition in a folder without settings: what stands in the contest, and nothing of the environment."""
        paths = {name: self.slots.get(name) or f"{PRIVATE}:{name.lower()}" for name in SLOT_NAMES}
        try:
            pack = Pack.model_validate({**self.rules, "callables": paths})
        except ValidationError as error:
            raise UserErrors(pydantic_faults("contest.json: rules", error, Pack)) from None
        own = {
            "competition": self.name,
            "mode": "replay",
            "competition_start": self.starts,
            "model_base_classname": self.base_class,
        }
        settings = Settings.model_construct(**{**own, **self.settings})
        slots = {name: SlotPath(name, path, "contest.json") for name, path in paths.items()}
        return Competition(home, settings, pack, slots)

    @property
    def starts(self) -> datetime:
        """The competition's first hour."""
        return utc(self.start)


def read_contest(path: Path) -> Contest:
    """The contest in that file; UserErrors with every fault."""
    try:
        return Contest.model_validate(json.loads(path.read_text()))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); install the package anew") from None
    except ValidationError as error:
        raise UserErrors(pydantic_faults(str(path), error, Contest)) from None
    except ValueError as error:
        raise UserError(f"{path}: not JSON: {error}; mend the file") from None


def contest_of(competition: Competition) -> Contest:
    """What the participants of this competition may know; SlotErrors when a slot cannot be loaded."""
    settings = competition.settings
    return Contest(
        name=settings.competition,
        start=f"{competition.start:%Y-%m-%dT%H:%MZ}",
        base_class=settings.model_base_classname,
        report_url=settings.report_url,
        settings={name: getattr(settings, name) for name in SETTINGS},
        slots={name: public_path(slot, settings.public_repo) for name, slot in competition.slots().items()},
        rules=competition.pack.model_dump(mode="json", exclude={"callables"}, exclude_none=True),
    )


def public_path(slot: Slot, public_repo: Path | None) -> str | None:
    """Where participants find the slot: in `slots` or in their own repo, by way of any re-export; None: nowhere."""
    named = tuple(slot.at.path.split(":"))
    defined = (getattr(slot.function, "__module__", ""), getattr(slot.function, "__qualname__", ""))
    for module_name, attribute in (named, defined):
        module = sys.modules.get(module_name)
        if getattr(module, attribute, None) is not slot.function:
            continue
        file = Path(inspect.getfile(module)).resolve() if module else Path()
        if module_name.split(".")[0] == "slots" or (public_repo and file.is_relative_to(public_repo.resolve())):
            return f"{module_name}:{attribute}"
    return None


def to_text(value: Any) -> str:
    """JSON as it is written for people, and as the template writes it."""
    return json.dumps(value, indent=2, sort_keys=True) + "\n"
