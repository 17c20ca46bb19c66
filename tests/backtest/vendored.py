"""Run in a fresh interpreter: a small backtest, then the files of ours that it took, one a line."""

import importlib
import sys
from pathlib import Path

from coordinator_dagster.backtest.of_contest import backtest_contest

PACKAGES = ("coordinator_dagster", "slots")


def small(home: Path) -> str:
    """An hour of the model and the tape in `home`, as text."""
    hour = ("2026-01-05T00:00Z", "2026-01-05T01:00Z")
    result = backtest_contest(home / "contest.json", home / "models", home / "tape", *hour, progress=False)
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
