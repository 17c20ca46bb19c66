"""What participants type and call: the contest's command line, and its function for notebooks."""

import csv
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from coordinator_dagster.backtest import command
from coordinator_dagster.backtest.of_contest import backtest_contest
from coordinator_dagster.backtest.result import Backtest
from coordinator_dagster.competition import Competition
from coordinator_dagster.errors import UserError
from coordinator_dagster.report.app import create_app
from slots.market import utc
from slots.tracker import TrackerBase
from tests.backtest.tapes import candles
from tests.report.conftest import archived as archived
from tests.report.serving import serving

PROJECT = Path(__file__).parents[2]
EXAMPLES = PROJECT / "examples" / "models"
START = "2026-01-05T00:00Z"
TWO_HOURS = (START, "2026-01-05T02:00Z")


class SteadyModel(TrackerBase):
    def tick(self, data: dict[str, Any]) -> None:
        pass

    def predict(self, asset: str, horizon: int, step: int) -> dict[str, Any]:
        return {"value": 0.0}


@pytest.fixture
def contest(tmp_path: Path) -> Iterator[Path]:
    rules = json.loads((PROJECT / "packs" / "baseline.json").read_text())
    slots = rules.pop("callables")
    found = {"name": "a", "start": START, "base_class": "slots.tracker.TrackerBase", "report_url": None, "settings": {}}
    file = tmp_path / "package" / "contest.json"
    file.parent.mkdir()
    file.write_text(json.dumps({**found, "slots": slots, "rules": rules}))
    yield file
    if str(tmp_path) in sys.path:
        sys.path.remove(str(tmp_path))


@pytest.fixture
def typed(contest: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Exit code, output and errors of a command."""

    def do(*words: str | Path) -> tuple[int | str | None, str, str]:
        monkeypatch.setattr(sys, "argv", ["crunch-a", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            command.run(contest)
        shown = capsys.readouterr()
        return ended.value.code, shown.out, shown.err

    return do


def over(contest: Path, models: Any, tape: Any = "simulated", span: tuple[Any, Any] = TWO_HOURS) -> Backtest:
    return backtest_contest(contest, models, tape, *span, progress=False)


def test_a_class_a_dict_a_folder_or_folders_are_models(contest: Path) -> None:
    for models, names in (
        (SteadyModel, {"steady-model"}),
        ({"mine": SteadyModel, "theirs": str(EXAMPLES / "mean_reversion")}, {"mine", "theirs"}),
        (EXAMPLES / "mean_reversion", {"mean_reversion"}),
        (str(EXAMPLES), {"mean_reversion", "trend_following", "volatility_regime"}),
        ([EXAMPLES / "mean_reversion", EXAMPLES / "trend_following"], {"mean_reversion", "trend_following"}),
    ):
        found = over(contest, models)
        assert set(found.forecasts.model_id) == names and set(found.forecasts.status) == {"SUCCESS"}
        assert len(found.forecasts) == 120 * len(names)


def test_without_a_span_it_is_what_the_tape_holds_less_the_look_back(contest: Path, tmp_path: Path) -> None:
    tape = candles(tmp_path / "tape", utc("2026-01-05T00:10Z"), 290)
    found = over(contest, SteadyModel, tape, (None, None)).forecasts
    assert found.performed_at.min() == utc("2026-01-05T03:00Z"), "120 candles are there at 02:10"
    assert found.performed_at.max() == utc("2026-01-05T04:59Z")


def test_a_simulated_day_is_the_contest_s_first(contest: Path) -> None:
    found = over(contest, SteadyModel, span=(None, None)).forecasts
    assert (found.performed_at.min(), len(found)) == (utc(START), 1440)


@pytest.mark.parametrize(
    ("models", "tape", "span", "said"),
    [
        (EXAMPLES / "nobody", "simulated", TWO_HOURS, "nobody: there is no such folder; give a model's folder"),
        (PROJECT / "packs", "simulated", TWO_HOURS, "there is no model in it; a model is a folder with a main.py"),
        (SteadyModel, "nowhere", TWO_HOURS, "tape = nowhere: there is no such folder; download a tape, or give `sim"),
        (SteadyModel, "simulated", (START, START), "no hour between 2026-01-05T00:00:00"),
        (SteadyModel, "simulated", ("today", None), "start=today: .*write a time such as"),
        (SteadyModel, "simulated", ("2026-01-05T00:30Z", None), "start=2026-01-05T00:30Z: must be a full hour"),
        ({"No Slug": SteadyModel}, "simulated", TWO_HOURS, "No Slug: rename it"),
        ({"mine": str}, "simulated", TWO_HOURS, "mine: str is no subclass of slots.tracker.TrackerBase"),
    ],
)
def test_what_cannot_be_run_is_said(contest: Path, models: Any, tape: str, span: tuple[Any, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        over(contest, models, tape, span)


def test_the_command_prints_scores_and_writes_what_it_is_asked_for(
    typed: Callable[..., Any], tmp_path: Path, contest: Path
) -> None:
    picture, table = tmp_path / "scores.png", tmp_path / "scores.csv"
    span = ("--from", TWO_HOURS[0], "--to", TWO_HOURS[1])
    code, out, _ = typed("backtest", EXAMPLES, "--tape", "simulated", *span, "--plot", picture, "--csv", table)
    assert code == 0
    assert "trend_following: 120 SUCCESS; mean score" in out and "leaderboard" in out
    assert picture.read_bytes().startswith(b"\x89PNG")
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 360
    assert float(rows[0]["score"]) == over(contest, EXAMPLES).forecasts.score[0]
    assert json.loads(rows[0]["output"])["value"] == over(contest, EXAMPLES).forecasts.output[0]["value"]


def test_an_error_is_a_line(typed: Callable[..., Any]) -> None:
    code, _, err = typed("backtest", EXAMPLES, "--tape", "nowhere")
    assert code == 1 and err.startswith("error: tape = nowhere: there is no such folder")


def test_the_tape_is_downloaded_and_played(archived: Competition, typed: Callable[..., Any], tmp_path: Path) -> None:
    days = ("--from", "2026-01-04", "--to", "2026-01-05", "--into", tmp_path / "tape")
    code, _, err = typed("tape", *days)
    assert code == 1 and "--url is not given, and the contest names none" in err
    with serving(create_app(archived)) as url:
        code, out, _ = typed("tape", "--url", url, *days)
    assert code == 0 and "2 files downloaded" in out
    code, out, _ = typed(
        "backtest", EXAMPLES, "--tape", tmp_path / "tape", "--from", START, "--to", "2026-01-05T01:00Z"
    )
    assert code == 0 and "mean_reversion: 60 SUCCESS" in out
