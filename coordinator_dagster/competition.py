"""One competition as its operator configured it. Reading it touches no network, database or slot."""

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from coordinator_dagster.errors import UserError
from coordinator_dagster.overrides import read_overrides, slot_paths
from coordinator_dagster.packs import Pack, PredictionConfig, read_pack
from coordinator_dagster.schedule import last_truth
from coordinator_dagster.settings import Settings, read_settings, schema_name
from coordinator_dagster.stages.suspension import SuspensionRule, Suspensions
from coordinator_dagster.windows import LENGTHS, Window, WindowGrid
from slots.contracts import SLOT_NAMES
from slots.loader import Slot, SlotPath, load_slots
from slots.tape import boundary

TRUTH_SLOTS = ("GROUND_TRUTH_RESOLVER",)
SCORE_SLOTS = (*TRUTH_SLOTS, "SCORING_FUNCTION", "MODEL_SCORE_AGGREGATOR", "LEADERBOARD_RANKER")
TRUTH_PARAMETERS = {"series"}
SCORE_PARAMETERS = TRUTH_PARAMETERS | {
    "missing",
    "score_direction",
    "worst_score",
    "min_coverage",
    "min_cycles",
    "look_back_hours",
}


@dataclass(frozen=True)
class Competition:
    """Settings, pack and slot paths, all valid in themselves."""

    home: Path
    settings: Settings
    pack: Pack
    slot_paths: Mapping[str, SlotPath]

    @property
    def schema(self) -> str:
        """The database schema and the prefix of the asset keys."""
        return schema_name(self.settings.competition)

    @property
    def start(self) -> datetime:
        """COMPETITION_START; without one, today: enough to look around, and `doctor` says so."""
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return self.settings.competition_start or today

    @property
    def windows(self) -> WindowGrid:
        return WindowGrid(self.start, LENGTHS[self.settings.window])

    @property
    def days(self) -> WindowGrid:
        """The UTC days, from the first one's midnight on, whatever the windows are."""
        return WindowGrid(boundary(self.start, LENGTHS["day"]), LENGTHS["day"])

    @property
    def closing(self) -> datetime | None:
        """The end of the last window, whose board counts the last truths; None: the competition is open."""
        end = self.settings.competition_end
        return self.windows.resolving(last_truth(self.pack.configs, end)).end if end else None

    @property
    def tape_start(self) -> datetime:
        """From when on the tape is kept: the start, less the look-back of the first input."""
        return self.start - timedelta(minutes=self.settings.feed_backfill_minutes)

    @property
    def model_logs(self) -> Path:
        """Where what the models print is kept."""
        return self.home / ".coordinator" / "logs" / self.settings.competition

    def timeout(self, configs: list[PredictionConfig]) -> float:
        """Seconds until a model that is asked these configs is killed: never more than their cadence."""
        cadence = min(config.schedule.every_seconds for config in configs)
        return min(self.settings.model_runner_timeout_seconds, cadence)

    def suspensions(self, window: Window) -> Suspensions:
        """Nobody is suspended yet: the window's answers have to be told."""
        settings = self.settings
        rule = SuspensionRule(
            settings.model_runner_max_consecutive_failures,
            settings.model_runner_max_consecutive_timeouts,
            timedelta(seconds=settings.model_suspension_seconds),
        )
        return Suspensions(rule, window.end)

    def find_public_modules(self) -> None:
        """From now on slots and the models' base class are found in PUBLIC_REPO, too.

        Said again before each use: Dagster restores the path when it has loaded the definitions.
        """
        if (repo := self.settings.public_repo) and str(repo) not in sys.path:
            sys.path.append(str(repo))

    def slots(self, *names: str) -> dict[str, Slot]:
        """These slots, loaded now (all ten without names); SlotErrors with every fault."""
        self.find_public_modules()
        return load_slots(self.slot_paths, names or SLOT_NAMES, self.home)

    def truth_version(self) -> str:
        """What truths depend on: the resolver's source, the series, SLOT_VERSION."""
        return self._version(TRUTH_SLOTS, TRUTH_PARAMETERS)

    def score_version(self) -> str:
        """What scores and boards depend on: the settling slots' sources, the contest's rules."""
        return self._version(SCORE_SLOTS, SCORE_PARAMETERS)

    def version_detail(self) -> dict[str, Any]:
        """What a score version stands for, kept with it: the slots, the rules, the truth's version."""
        rules = self.pack.model_dump(mode="json", include=SCORE_PARAMETERS)
        slots = self.slots(*SCORE_SLOTS)
        return {
            "slots": {name: str(slot.at) for name, slot in slots.items()},
            "digests": {name: slot.digest for name, slot in slots.items()},
            "rules": rules,
            "slot_version": self.settings.slot_version,
            "truth_version": self.truth_version(),
        }

    def _version(self, names: tuple[str, ...], parameters: set[str]) -> str:
        slots = self.slots(*names)
        content = {
            "slots": {name: [slot.at.path, slot.digest] for name, slot in slots.items()},
            "pack": self.pack.model_dump(mode="json", include=parameters),
            "slot_version": self.settings.slot_version,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def default_home() -> Path:
    """The code location's folder: COORDINATOR_HOME, or the working directory; UserError when there is none."""
    home = Path(os.environ.get("COORDINATOR_HOME") or Path.cwd()).resolve()
    if not home.is_dir():
        raise UserError(f"COORDINATOR_HOME={home}: there is no such folder; make it, or set another")
    return home


def read_competition(home: Path | None = None) -> Competition:
    """The competition configured in `home`; UserErrors with every fault of the first broken file."""
    home = home.resolve() if home else default_home()
    settings = read_settings(home)
    overrides = read_overrides(home)
    pack = read_pack(settings.pack, overrides.fields, ", ".join(overrides.files))
    competition = Competition(home, settings, pack, slot_paths(home, overrides, pack.id, pack.callables))
    competition.find_public_modules()
    return competition
