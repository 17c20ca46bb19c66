"""Run in a fresh interpreter: a small backtest, then the files of ours that it took, one a line."""

import importlib
import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from coordinator_dagster.backtest.backtest import backtest
from coordinator_dagster.clock import FixedClock
from coordinator_dagster.competition import Competition
from coordinator_dagster.feeds.archive_feed import ArchiveFeed, is_archive
from coordinator_dagster.feeds.replay import ReplayFeed
from coordinator_dagster.packs import Pack
from coordinator_dagster.settings import Settings
from slots.loader import SlotPath
from slots.market import utc

PACKAGES = ("coordinator_dagster", "slots")
START = utc("2026-01-05T00:00Z")


def small(home: Path) -> str:
    """An hour of the model and the tape in `home`, as text."""
    pack = Pack.model_validate(json.loads((home / "pack.json").read_text()))
    settings: Any = Settings.model_construct(competition_start=START, competition_end=START + timedelta(hours=1))
    paths = {name: SlotPath(name, path, "pack") for name, path in pack.callables.items()}
    competition = Competition(home, settings, pack, paths)
    tape, kind = home / "tape", ArchiveFeed if is_archive(home / "tape") else ReplayFeed
    feed = kind(tape, None, FixedClock(START))
    windows = competition.windows.between(START, START + timedelta(hours=1))
    result = backtest(competition, home / "models", feed, windows)
    result.plot(home / "scores.png")
    return result.summary()


def taken() -> list[str]:
    """The files of our packages that were loaded, below the folder they were found in."""
    for path in Path("coordinator_dagster/backtest").glob("[!_]*.py"):
        importlib.import_module(f"coordinator_dagster.backtest.{path.stem}")
    modules = [one for name, one in sys.modules.items() if name.partition(".")[0] in PACKAGES]
    return sorted(Path(str(one.__file__)).relative_to(Path.cwd()).as_posix() for one in modules)


if __name__ == "__main__":
    print(small(Path(sys.argv[1])), file=sys.stderr)
    print("\n".join(taken()))
