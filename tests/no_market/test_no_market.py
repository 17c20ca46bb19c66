"""A competition without any market: text to forecast, words as answers, a truth from elsewhere. No migration."""

import asyncio
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from coordinator_dagster.cli import main
from coordinator_dagster.cli.doctor import surroundings
from coordinator_dagster.clock import FixedClock, SystemClock
from coordinator_dagster.competition import Competition, read_competition
from coordinator_dagster.explain import explanation
from coordinator_dagster.feeds.none import NoFeed
from coordinator_dagster.replay import ReplayReport, replay
from coordinator_dagster.runtime import open_feed, open_runtime
from coordinator_dagster.store.store import open_store
from slots.market import Series
from tests.test_loop import run_dagster, run_replay

Make = Callable[..., Competition]
HERE = Path(__file__).parent
HOUR = timedelta(hours=1)
QUESTIONS = {"lamp": ("Will the lamp be on?", range(0, 60, 10)), "door": ("Will the door be open?", range(0, 60, 30))}
CYCLES = sum(len(minutes) for _, minutes in QUESTIONS.values())


def hours_ago(hours: int) -> datetime:
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours)


@pytest.fixture
def diary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAMP_DIARY", str(tmp_path / "diary.json"))
    return tmp_path / "diary.json"


@pytest.fixture
def lamp(competition: Make, diary: Path) -> Make:
    """Makes the competition without a market, an hour long, from `start` on."""

    def make(start: datetime, suffix: str = "a", **settings: Any) -> Competition:
        chosen = {
            "pack": HERE / "lamp.json",
            "feed_provider": "none",
            "models_dir": HERE / "models",
            "model_base_classname": "tests.no_market.guesser.Guesser",
            "competition_start": start.isoformat(),
            "competition_end": (start + HOUR).isoformat(),
        }
        return competition(suffix, **{**chosen, **settings})

    return make


def write(diary: Path, start: datetime) -> None:
    """The hour's entry: the lamp is on every twenty minutes, the door stays shut."""
    diary.write_text(
        json.dumps(
            {
                f"{question} {(start + timedelta(minutes=minute)).isoformat()}": "yes"
                if name == "lamp" and minute % 20 == 0
                else "no"
                for name, (question, minutes) in QUESTIONS.items()
                for minute in minutes
            }
        )
    )


def run_at(competition: Competition, moment: datetime | None = None) -> ReplayReport:
    """Replay its hour as of that moment; as of now without one."""
    with open_runtime(competition) as runtime:
        if moment:
            runtime.__dict__["clock"] = FixedClock(moment)
        return replay(runtime, [competition.windows.at(competition.start)], lambda done: None)


def rows(competition: Competition, sql: str) -> list[tuple[Any, ...]]:
    store = open_store(competition)
    found = [tuple(row) for row in store.database.read(sql)]
    store.close()
    return found


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of a command, typed in this process."""
    monkeypatch.setattr(sys, "argv", ["coordinator", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_validate_runs_all_ten_slots_and_the_feed_is_well(
    lamp: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = lamp(hours_ago(168))
    monkeypatch.setenv("SCORING_FUNCTION", "slots.defaults:score_prediction")
    assert command(monkeypatch, "validate") == 1
    assert "SCORING_FUNCTION=slots.defaults:score_prediction (from environment)" in capsys.readouterr().err, (
        "the scorer was not tried"
    )
    monkeypatch.delenv("SCORING_FUNCTION")
    assert command(monkeypatch, "validate") == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert "pack lamp: 2 configs, all ten slots ran" in said.out
    assert command(monkeypatch, "feed") == 0
    findings = {one.what: one for one in surroundings(made, offline=False)}
    assert findings["feed none"].remedy == ""
    assert findings["feed none"].found.startswith("no series is needed; it is ")


def test_a_feed_that_nobody_needs_is_a_warning_and_one_that_is_missing_an_error(
    lamp: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pack = json.loads((HERE / "lamp.json").read_text())
    del pack["example_truth"]
    (tmp_path / "bare.json").write_text(json.dumps(pack))
    made = lamp(hours_ago(168), feed_provider="replay", pack=tmp_path / "bare.json")
    assert command(monkeypatch, "validate") == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "warning: FEED_PROVIDER=replay is not used: the pack lamp has no series; set FEED_PROVIDER=none" in said
    assert "warning: config lamp, door: the truth comes from elsewhere; give the pack an example_truth" in said
    assert isinstance(open_feed(made), NoFeed)

    lamp(hours_ago(168), pack="baseline")
    assert command(monkeypatch, "validate") == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: FEED_PROVIDER=none: the pack needs BTC/candle/1m, and there is no feed; set FEED_")


def test_the_feed_has_nothing_and_nothing_happens() -> None:
    feed, series = NoFeed(SystemClock()), Series("none", "BTC", "tick", "1s")

    async def first() -> None:
        async with asyncio.timeout(0.01):
            await anext(aiter(feed.listen({series: hours_ago(1)})))

    assert feed.list_assets() == []
    assert list(feed.fetch(series, hours_ago(2), hours_ago(1))) == []
    with pytest.raises(TimeoutError):
        asyncio.run(first())


def test_a_replay_of_last_week_by_the_command_gives_a_board(
    lamp: Make, diary: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    start = hours_ago(168)
    write(diary, start)
    made = lamp(start)
    assert command(monkeypatch, "replay") == 0
    assert f"cycles: {CYCLES} resolved, 0 void, 0 pending" in capsys.readouterr().out
    assert rows(made, "select distinct status, external, reason from ground_truths") == [("RESOLVED", True, None)]
    assert rows(
        made,
        "select model_id, status, inference_output_jsonb->>'value', count(*) from forecasts "
        "group by 1, 2, 3 order by model_id",
    ) == [
        ("doubtful", "SUCCESS", "no", CYCLES),
        ("hopeful", "SUCCESS", "yes", CYCLES),
        ("numeric", "FAILED", None, CYCLES),
    ]
    board = rows(
        made,
        "select e->>'model_id', (e->>'rank')::int, (e->'score'->'metrics'->>'anchor')::float8, final "
        "from leaderboards, jsonb_array_elements(entries_jsonb) e",
    )
    assert board == [("doubtful", 1, 5 / CYCLES, True), ("hopeful", 2, 3 / CYCLES, True), ("numeric", None, 0.0, True)]
    assert rows(made, "select count(*) from market_records") == [(0,)]


def test_dagster_gives_the_same_tables(lamp: Make, diary: Path) -> None:
    start = hours_ago(168)
    write(diary, start)
    replayed = run_replay(lamp(start, "a"))
    assert replayed["leaderboards"]
    made = lamp(start, "b")
    assert run_dagster(made, [[made.windows.at(start).key]]) == replayed


def test_a_truth_is_waited_for_a_day_and_then_void(lamp: Make, diary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = lamp(hours_ago(3))
    report = run_at(made)
    assert (report.resolved, report.void, report.pending) == (0, 0, CYCLES)
    assert report.reasons == ["the resolver has no truth yet"]
    assert rows(made, "select count(*) from ground_truths") == [(0,)]
    assert rows(made, "select distinct final from leaderboards") == [(False,)]

    last = made.start + timedelta(minutes=51)  # when the last cycle resolves
    report = run_at(made, last + timedelta(hours=24, seconds=-1))
    assert (report.resolved, report.void, report.pending) == (0, CYCLES - 1, 1)
    run_at(made, last + timedelta(hours=24))
    reasons = rows(made, "select distinct status, reason, truth_jsonb from ground_truths")
    assert reasons == [("VOID", "the resolver has no truth yet; it did not come within 24 hours", None)]
    assert rows(made, "select distinct status, due from scores") == [("EXEMPT", False)]
    write(diary, made.start)
    run_at(made)
    monkeypatch.setenv("SLOT_VERSION", "2")
    run_at(read_competition(made.home))
    assert rows(made, "select status, count(*), count(distinct version) from ground_truths group by 1") == [
        ("VOID", 2 * CYCLES, 2)
    ], "given up is given up"


def test_a_truth_that_comes_late_is_scored(lamp: Make, diary: Path) -> None:
    made = lamp(hours_ago(3))
    run_at(made)
    write(diary, made.start)
    report = run_at(made)
    assert (report.resolved, report.scored) == (CYCLES, 2 * CYCLES)
    assert rows(made, "select e->>'model_id' from leaderboards, jsonb_array_elements(entries_jsonb) e limit 1") == [
        ("doubtful",)
    ]


def test_nobody_is_asked_before_the_instant_nor_resolved_before_its_horizon(lamp: Make, diary: Path) -> None:
    start = hours_ago(168)
    write(diary, start)
    made = lamp(start)
    report = run_at(made, start + timedelta(minutes=30, seconds=59))
    assert rows(made, "select status, count(*) from cycles group by 1 order by 1") == [("PERFORMED", 6), ("planned", 2)]
    assert (report.resolved, report.pending) == (4, 2)
    assert "later instants are still to come" in report.reasons[0]
    resolvable = (start + timedelta(minutes=45)).isoformat()
    assert f"the truth from elsewhere is asked for from {resolvable} on" in report.reasons[1]
    assert run_at(made).resolved == 4, "the rest"


def test_an_explanation_says_that_the_truth_is_from_elsewhere(lamp: Make, diary: Path) -> None:
    made = lamp(hours_ago(3))
    run_at(made)
    store = open_store(made)
    pending = explanation(made, store, "hopeful", made.start, "door")["cycles"][0]
    assert pending["truth"]["status"] == pending["score"]["status"] == "pending"
    assert pending["truth"]["reason"].startswith("it comes from elsewhere: asked for from ")
    write(diary, made.start)
    run_at(made)
    found = explanation(made, store, "hopeful", made.start)
    store.close()
    assert found["input"]["newest"] == {"words": "dark"}
    lamp_on, door_open = found["cycles"]
    assert lamp_on["truth"]["content"] == {"answer": "yes", "source": "diary.json"}
    assert lamp_on["truth"]["external"] is True
    assert lamp_on["truth"]["records"] == []
    assert (lamp_on["outcome"], door_open["outcome"]) == ("SCORED 1.0", "SCORED 0.0")


def test_its_tables_are_those_of_a_market(lamp: Make, competition: Make, diary: Path) -> None:
    start = hours_ago(168)
    write(diary, start)
    here = lamp(start, "a")
    run_replay(here)
    definitions = _definitions(here)
    market = competition(
        "b",
        pack="baseline",
        feed_provider="simulated",
        model_base_classname="slots.tracker.TrackerBase",
        competition_start="2026-01-05T00:00Z",
        competition_end="2026-01-05T01:00Z",
    )
    run_replay(market)
    assert len(definitions["columns"]) > 150
    assert _definitions(market) == definitions


def _definitions(competition: Competition) -> dict[str, list[tuple[Any, ...]]]:
    """Every table, view, column and constraint of the schema; monthly partitions follow from the rows in it."""
    partitions = (
        "select relname from pg_class join pg_namespace n on n.oid = relnamespace "
        f"where relispartition and nspname = '{competition.schema}'"
    )
    return {
        "columns": rows(
            competition,
            "select table_name, column_name, ordinal_position, data_type, is_nullable, column_default, is_identity "
            f"from information_schema.columns where table_schema = '{competition.schema}' "
            f"and table_name not in ({partitions}) order by 1, 3",
        ),
        "constraints": rows(
            competition,
            "select c.relname, conname, pg_get_constraintdef(k.oid) from pg_constraint k "
            "join pg_class c on c.oid = conrelid join pg_namespace n on n.oid = c.relnamespace "
            f"where nspname = '{competition.schema}' and not relispartition order by 1, 2",
        ),
        "version": rows(competition, "select version_num from alembic_version"),
    }
