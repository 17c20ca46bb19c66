"""A backtest as participants ask for it: of their contest, with models and tape as they come to hand."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from coordinator_dagster.backtest.backtest import backtest
from coordinator_dagster.backtest.own_models import Models
from coordinator_dagster.backtest.result import Backtest
from coordinator_dagster.cli.console import progress_bar
from coordinator_dagster.cli.moments import parse_hour
from coordinator_dagster.clock import FixedClock
from coordinator_dagster.competition import Competition
from coordinator_dagster.contest import read_contest
from coordinator_dagster.errors import UserError
from coordinator_dagster.feeds.base import Feed
from coordinator_dagster.feeds.recorded import open_recorded
from coordinator_dagster.feeds.simulated import SimulatedFeed
from coordinator_dagster.stages.ingest import contest_series
from coordinator_dagster.windows import Window
from slots.market import granularity_seconds
from slots.tape import boundary

SIMULATED = "simulated"
SIMULATED_SPAN = timedelta(days=1)
HOUR = timedelta(hours=1)

Given = type | Path | str | Mapping[str, type | Path | str] | Sequence[Path | str]


def backtest_contest(
    contest: Path, models: Given, tape: Path | str, start: str | None, end: str | None, progress: bool
) -> Backtest:
    """The contest in that file, over a tape from `start` to `end`, hours in UTC; see `backtest`.

    `tape`: a folder of market data, or "simulated". The span is what the tape holds, where it is left out, less the
    history that the first input looks back on. UserError for what cannot be run.
    """
    rules = read_contest(contest)
    competition = rules.competition(contest.parent.parent)  # where the package lies: its slots are found
    first, last = (parse_hour(name, text) if text else None for name, text in (("start", start), ("end", end)))
    if str(tape) == SIMULATED:
        first = first or competition.start
        last = last or first + SIMULATED_SPAN
    feed = open_tape(competition, tape, last)
    competition, windows = _windows(competition, feed, first, last)
    with progress_bar(f"{rules.name}: windows", len(windows)) if progress else nullcontext(None) as told:
        return backtest(competition, _models(models), feed, windows, rules.private, told or (lambda done: None))


def open_tape(competition: Competition, tape: Path | str, end: datetime | None) -> Feed:
    """The tape in a folder, or a simulated market that ends when the last truths of `end` are known."""
    folder, longest = Path(tape), max(one.horizon for one in competition.pack.configs)
    clock = FixedClock((end or competition.start) + longest)
    if str(tape) == SIMULATED:
        simulated = SimulatedFeed(sorted({one.asset for one in competition.pack.series}), 1, clock)
        simulated.fixed = True  # nothing comes after its clock
        return simulated
    if not folder.is_dir():
        raise UserError(f"tape = {tape}: there is no such folder; download a tape, or give `{SIMULATED}`")
    return open_recorded(folder, None, clock)


def _windows(
    competition: Competition, feed: Feed, start: datetime | None, end: datetime | None
) -> tuple[Competition, list[Window]]:
    """The competition as if it had begun with the first of the windows; UserError where the tape holds none."""
    first, last = start or _first_hour(competition, feed), end
    if last is None:
        last = min(feed.known_through(one) for one in contest_series(competition, feed))
    chosen = competition.settings.model_copy(update={"competition_start": first})
    competition = replace(competition, settings=chosen)
    windows = competition.windows.between(first, last)
    if not windows:
        raise UserError(f"no hour between {first.isoformat()} and {last.isoformat()}; give another start or end")
    return competition, windows


def _first_hour(competition: Competition, feed: Feed) -> datetime:
    """The first one whose inputs have their full look-back on the tape."""
    series, count = contest_series(competition, feed), competition.settings.feed_candles_window
    begins = {offer.series: offer.first for offer in feed.list_assets() if offer.first}
    moments = [
        begins[one] + timedelta(seconds=granularity_seconds(one.granularity)) * (count if one.kind == "candle" else 1)
        for one in series
        if one in begins
    ]
    if not moments:
        raise UserError("the tape does not say when it begins; give a start")
    return boundary(max(moments) - timedelta(microseconds=1), HOUR) + HOUR


def _models(given: Given) -> Models:
    """By id, whatever was given: a class, folders of a model, folders of models."""
    if isinstance(given, type):
        return {_slug(given.__name__): given}
    if isinstance(given, Mapping):
        return {id_: one if isinstance(one, type) else Path(one) for id_, one in given.items()}
    found: dict[str, type | Path] = {}
    for folder in map(Path, [given] if isinstance(given, str | Path) else given):
        if not folder.is_dir():
            raise UserError(f"{folder}: there is no such folder; give a model's folder, or a folder of models")
        for one in [folder] if _is_model(folder) else filter(_is_model, sorted(folder.iterdir())):
            found[one.resolve().name] = one
    if not found:
        raise UserError(f"{given}: there is no model in it; a model is a folder with a main.py")
    return found


def _is_model(folder: Path) -> bool:
    return (folder / "main.py").is_file() or (folder / "main").is_dir()


def _slug(name: str) -> str:
    """A class's name as a model's id."""
    return "".join(f"-{one.lower()}" if one.isupper() else one for one in name).replace("_", "-").strip("-")
