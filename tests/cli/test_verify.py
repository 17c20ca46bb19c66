"""`coordinator verify`: what it says of a node that works, and of each thing that does not."""

import functools
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from coordinator_dagster.cli import verify_parts
from coordinator_dagster.cli.verify import Step, take
from coordinator_dagster.competition import Competition
from coordinator_dagster.errors import UserError
from coordinator_dagster.feeds.simulated import SimulatedFeed
from coordinator_dagster.live.leasing import WORK
from coordinator_dagster.packs import PredictionConfig, available_packs
from coordinator_dagster.replay import replay
from coordinator_dagster.report.app import create_app
from coordinator_dagster.runtime import open_runtime
from coordinator_dagster.store.database import Database
from coordinator_dagster.store.migrating import try_migration
from coordinator_dagster.store.store import open_store
from coordinator_dagster.store.trial import MARK, trial_schema
from coordinator_dagster.trial import _when, scratch, soonest
from tests.cli.explaining import MODEL, Make, WriteModel
from tests.cli.serving import free_port
from tests.cli.test_cli import COMMAND, PASSWORD, UNREACHABLE
from tests.conftest import PROJECT
from tests.report.serving import serving

STEPS = ["database", "feed", "models", "one cycle", "one settle", "API"]
TypeIn = Callable[..., tuple[int, str, str]]
ANSWER = MODEL.format("return {'value': 0.001}")


@pytest.fixture
def node(competition: Make, schema: Callable[[str], str]) -> Make:
    """Makes a competition; the schema of its trial, too, is dropped in the end."""
    schema("a_verify")
    return competition


@pytest.fixture
def one_model(model_folder: WriteModel) -> Path:
    return model_folder("steady", ANSWER)


def marks(said: str) -> dict[str, str]:
    """What stands before each step."""
    lines = [line for line in said.splitlines() if line[:1] in ("✓", "✗", "–")]
    return {next(name for name in STEPS if line[2:].startswith(name)): line[0] for line in lines}


def all_but(**other: str) -> dict[str, str]:
    return {name: other.get(name.replace(" ", "_"), "✓") for name in STEPS}


@contextmanager
def opened(made: Competition, schema: str = "") -> Iterator[Database]:
    assert made.settings.database_url
    database = Database(made.settings.database_url.get_secret_value(), schema or made.schema)
    yield database
    database.close()


def there(made: Competition) -> list[str]:
    """Which schemas of the competition there are."""
    with opened(made) as database:
        names = [made.schema, f"{made.schema}_verify"]
        rows = database.read("select nspname from pg_namespace where nspname = any(:names) order by 1", names=names)
        return [row.nspname for row in rows]


@pytest.mark.parametrize("pack", ["baseline", "realtime", "tournament"])
def test_a_node_that_works(type_in: TypeIn, node: Make, tmp_path: Path, pack: str) -> None:
    made = node(pack=pack)
    began = time.monotonic()
    code, said, errors = type_in("verify")
    assert (code, errors) == (0, "")
    assert time.monotonic() - began < 15
    assert marks(said) == all_but()
    for part in (
        f"the schema {made.schema} is not there yet, and can be migrated",
        "simulated/BTC/candle/1m: known through ",
        "mean_reversion: slowest answer 0.",
        'mean_reversion {"value": ',
        '"return": ',
        "scores: mean_reversion -",
        "board: #1 ",
        "in this process: healthy, PostgreSQL ",
        f"{made.settings.competition} works (",
    ):
        assert part in said, f"{part}\n{said}"
    assert there(made) == [], "nothing was made"
    assert list(tmp_path.rglob("*.log")) == []


def test_the_competition_is_not_touched(type_in: TypeIn, node: Make, one_model: Path) -> None:
    made = node(competition_end="2026-01-05T01:00Z", models_dir=one_model)
    with open_runtime(made) as runtime:
        replay(runtime, made.windows.between(made.start, made.closing), lambda done: None)

    def content() -> dict[str, Any]:
        """Each row of each table with the transaction that wrote it."""
        with opened(made) as database:
            tables = database.read(
                "select relname from pg_class where relnamespace = to_regnamespace(:name) and relkind = 'r' order by 1",
                name=made.schema,
            )
            return {
                one.relname: database.read(f"select xmin::text, xmax::text, ctid::text from {one.relname} order by 3")
                for one in tables
            }

    before = content()
    code, said, _ = type_in("verify")
    assert (code, marks(said)) == (0, all_but())
    assert f"the schema {made.schema} is there" in said
    assert "the leaderboard has 1 models" in said
    assert content() == before
    assert there(made) == [made.schema]


def test_a_database_that_is_away(type_in: TypeIn, node: Make, one_model: Path) -> None:
    node(database_url=UNREACHABLE, models_dir=one_model)
    code, said, errors = type_in("verify")
    assert code == 1
    assert marks(said) == all_but(database="✗", one_cycle="–", one_settle="–", API="–")
    assert "DATABASE_URL: cannot connect to postgresql" in said
    assert "start the server or mend the URL" in said
    assert PASSWORD not in said + errors
    assert "4 of 6 steps did not pass: database, one cycle, one settle, API" in errors


def test_a_feed_that_is_away_is_named_and_the_rest_goes_on(
    type_in: TypeIn, node: Make, one_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify_parts, "PATIENCE_SECONDS", 0.5)
    away = f"http://127.0.0.1:{free_port()}"
    node(feed_provider="binance", feed_base_url=away, models_dir=one_model)
    code, said, errors = type_in("verify")
    assert (code, marks(said)) == (1, all_but(feed="✗"))
    assert f"binance/BTC/candle/1m: GET {away}/" in said
    assert "mend the network, FEED_BASE_URL or FEED_PROVIDER, or leave it by --offline" in said
    assert "1 of 6 steps did not pass: feed" in errors
    code, said, _ = type_in("verify", "--offline")
    assert (code, marks(said)) == (0, all_but(feed="–"))
    assert "not tried: --offline was given" in said


def test_a_recorded_tape_has_an_end_and_a_hole_before_it_is_a_fault(
    type_in: TypeIn, node: Make, one_model: Path, tmp_path: Path
) -> None:
    rows = [f"2026-01-05T00:{minute:02}:00Z,1,1,1,1,1" for minute in range(10)]
    (tmp_path / "tape").mkdir()
    (tmp_path / "tape" / "x_BTC_candle_1m.csv").write_text("\n".join(["ts_event,open,high,low,close,volume", *rows]))
    node(feed_provider="replay", feed_tape_dir=tmp_path / "tape", models_dir=one_model)
    code, said, _ = type_in("verify")
    assert (code, marks(said)) == (0, all_but())
    assert "x/BTC/candle/1m: the tape ends at 2026-01-05 00:10:00, 5 records from 00:05:00 on" in said


def test_a_venue_without_its_candles_is_a_fault(
    type_in: TypeIn, node: Make, one_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SimulatedFeed, "fetch", lambda *_: iter(()))
    with pytest.raises(UserError) as told:
        verify_parts.feed(node(pack="realtime", models_dir=one_model), offline=False)
    assert str(told.value).startswith("simulated/BTC/candle/1m: no candle from ")
    assert "see `coordinator feed`, or set FEED_PROVIDER or FEED_BASE_URL" in str(told.value)
    assert "tick" not in str(told.value), "a market may be quiet"


def test_a_model_that_raises_is_named_and_others_go_on(type_in: TypeIn, node: Make, model_folder: WriteModel) -> None:
    model_folder("bad", MODEL.format("raise RuntimeError('out of ideas')"))
    made = node(models_dir=model_folder("good", ANSWER))
    code, said, errors = type_in("verify")
    assert (code, marks(said)) == (1, all_but(models="✗"))
    assert f"{made.settings.models_dir}/bad: instant 1 of 3" in said
    assert "RuntimeError: out of ideas" in said
    assert "mend it, then try it by `coordinator models check bad`" in said
    assert "bad FAILED: " in said and 'good {"value": 0.001}' in said
    assert "1 of 6 steps did not pass: models" in errors


def test_where_nobody_answers_there_is_no_cycle(type_in: TypeIn, node: Make, model_folder: WriteModel) -> None:
    made = node(models_dir=model_folder("bad", MODEL.format("return 7")))
    code, said, _ = type_in("verify")
    assert (code, marks(said)) == (1, all_but(models="✗", one_cycle="✗", one_settle="–"))
    assert "no model answered (bad: FAILED: " in said
    assert there(made) == []


def test_without_models_it_says_how_to_add_one(type_in: TypeIn, node: Make, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    node(models_dir=tmp_path / "none")
    code, said, _ = type_in("verify")
    assert (code, marks(said)) == (1, all_but(models="✗", one_cycle="✗", one_settle="–"))
    assert f"there is none in {tmp_path / 'none'}; add one by `coordinator models add`, or set MODELS_DIR" in said


SLOTS = """
def resolve_ground_truth(prediction, tape):
    raise RuntimeError("no truth today")

def score_prediction(prediction, ground_truth):
    raise RuntimeError("no score today")

def provide_raw_input(now):
    raise RuntimeError("no input today")

def rank_leaderboard(entries):
    raise RuntimeError("no ranks today")

def report_schema():
    return {}
"""


@pytest.mark.parametrize(
    ("slot", "function", "reason", "broken"),
    [
        ("GROUND_TRUTH_RESOLVER", "resolve_ground_truth", "RuntimeError: no truth today", {"one_settle": "✗"}),
        ("SCORING_FUNCTION", "score_prediction", "RuntimeError: no score today", {"one_settle": "✗"}),
        ("LEADERBOARD_RANKER", "rank_leaderboard", "RuntimeError: no ranks today", {"one_settle": "✗"}),
        (
            "REPORT_SCHEMA_PROVIDER",
            "report_schema",
            "must return an object with schema_version",
            {"one_settle": "✗", "API": "✗"},
        ),
        (
            "RAW_INPUT_PROVIDER",
            "provide_raw_input",
            "RuntimeError: no input today",
            {"models": "✗", "one_cycle": "✗", "one_settle": "–"},
        ),
        ("LEADERBOARD_RANKER", "rank", "has no 'rank'", {"one_settle": "✗"}),
    ],
)
def test_a_slot_that_is_broken_is_named_with_its_path_and_the_reason(
    type_in: TypeIn,
    node: Make,
    one_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    slot: str,
    function: str,
    reason: str,
    broken: dict[str, str],
) -> None:
    (tmp_path / "my_broken_slots.py").write_text(SLOTS)
    made = node(models_dir=one_model)
    monkeypatch.setenv(slot, f"my_broken_slots:{function}")
    code, said, _ = type_in("verify")
    assert (code, marks(said)) == (1, all_but(**broken)), said
    for part in (slot, f"my_broken_slots:{function}", reason):
        assert part in said, f"{part}\n{said}"
    assert there(made) == []


def test_the_deployed_api_is_asked_and_may_be_away_or_another(
    type_in: TypeIn, node: Make, schema: Callable[[str], str], one_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = node(models_dir=one_model)
    away = f"http://127.0.0.1:{free_port()}"
    code, said, _ = type_in("verify", "--url", away)
    assert (code, marks(said)) == (1, all_but(API="✗"))
    assert f"{away}: ConnectError: " in said
    assert "start `coordinator report` there, or mend --url" in said
    with serving(create_app(made)) as url:
        assert f"{url}: healthy, PostgreSQL " in verify_parts.api(made, url)
        other = node(competition=schema("other"))
        with pytest.raises(UserError, match=f"{url}: it is about the competition '{made.settings.competition}', not "):
            verify_parts.api(other, url)
        with pytest.raises(UserError, match=f"{url}/nowhere: HTTPStatusError: .*404"):
            verify_parts.api(made, f"{url}/nowhere")
    monkeypatch.setenv("DATABASE_URL", UNREACHABLE)
    with serving(create_app(node(database_url=UNREACHABLE))) as url:
        assert httpx.get(f"{url}/readyz").status_code == 503
        with pytest.raises(UserError, match=f"{url}: HTTPStatusError: .*503"):
            verify_parts.api(made, url)


def test_an_orchestrator_that_is_away_is_asked_once(type_in: TypeIn, node: Make) -> None:
    port = free_port()
    node(model_runner="grpc", crunch_id="mine", model_runner_node_port=port)
    code, said, _ = type_in("verify")
    assert (code, marks(said)) == (1, all_but(models="✗", one_cycle="–", one_settle="–"))
    assert f"does not answer at ws://localhost:{port}/mine" in said
    assert "mend MODEL_RUNNER_NODE_HOST and MODEL_RUNNER_NODE_PORT" in said


def test_nodes_that_a_live_run_asks_are_left_alone(node: Make) -> None:
    made = node(model_runner="grpc", crunch_id="mine", mode="live")
    store = open_store(made)
    store.leases.take(WORK, "somebody")
    with pytest.raises(verify_parts.NotTried, match="a live run is asking these nodes"):
        verify_parts.one_cycle(made, None)  # type: ignore[arg-type]
    store.close()


def test_a_contest_without_a_market_is_asked_and_not_scored(
    type_in: TypeIn, node: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAMP_DIARY", str(tmp_path / "diary.json"))
    here = PROJECT / "tests" / "no_market"
    shutil.copytree(here / "models" / "hopeful", tmp_path / "models" / "hopeful")
    node(
        pack=here / "lamp.json",
        feed_provider="none",
        models_dir=tmp_path / "models",
        model_base_classname="tests.no_market.guesser.Guesser",
    )
    code, said, _ = type_in("verify")
    assert (code, marks(said)) == (0, all_but()), said
    assert "no series is needed: the truth comes from elsewhere" in said
    assert "cycles performed without a market: " in said
    assert "wait for it, so nothing is scored yet" in said


def test_an_interrupt_leaves_no_schema(node: Make, model_folder: WriteModel, tmp_path: Path) -> None:
    made = node(models_dir=model_folder("slow", MODEL.format("import time; time.sleep(1.2); return {'value': 0.0}")))
    done = tmp_path / "said"
    with done.open("w") as output:
        command = [*COMMAND, "verify", "--offline"]
        # Where the tests run in the background SIGINT is ignored, and a child would inherit that.
        heard = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        verify = subprocess.Popen(command, stdout=output, stderr=output, env=os.environ, preexec_fn=heard)
    deadline = time.monotonic() + 40
    while f"{made.schema}_verify" not in there(made):
        assert verify.poll() is None and time.monotonic() < deadline, done.read_text()
        time.sleep(0.05)
    # Again, as somebody would at a terminal: where asyncio has a task that waits for nothing more, one is lost.
    while verify.poll() is None and time.monotonic() < deadline:
        verify.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            verify.wait(2)
    assert verify.returncode not in (0, None)
    assert there(made) == []
    assert "Traceback" not in done.read_text()


def test_a_schema_of_that_name_that_is_somebody_elses_stays(type_in: TypeIn, node: Make, one_model: Path) -> None:
    made = node(models_dir=one_model)
    with opened(made) as database, database.transaction() as connection:
        connection.execute(text(f"create schema {made.schema}_verify"))
    code, said, _ = type_in("verify")
    assert (code, marks(said)) == (1, all_but(one_cycle="✗", one_settle="–"))
    assert f"the schema {made.schema}_verify, which `coordinator verify` makes and drops, is somebody else's" in said
    assert there(made) == [f"{made.schema}_verify"]


def test_what_a_killed_one_left_is_dropped_first_and_two_at_once_are_not_tried(
    type_in: TypeIn, node: Make, one_model: Path, database_url: str
) -> None:
    made = node(models_dir=one_model)
    name = f"{made.schema}_verify"
    with opened(made) as database, database.transaction() as connection:
        connection.execute(text(f"create schema {name}"))
        connection.execute(text(f"create table {name}.leaderboards (left_over int)"))
        connection.execute(text(f"comment on schema {name} is '{MARK}'"))
    code, said, _ = type_in("verify")
    assert (code, marks(said)) == (0, all_but())
    with trial_schema(database_url, name):
        code, said, _ = type_in("verify")
        assert (code, marks(said)) == (1, all_but(one_cycle="✗", one_settle="–"))
        assert f"another `coordinator verify` is at work in the schema {name}; wait for it" in said
        assert there(made) == [name]
    assert there(made) == []


def test_a_database_that_goes_away_in_a_step_is_a_failure_of_that_step(
    node: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    with opened(node()) as database:

        def cut_off() -> str:
            return str(database.read("select pg_terminate_backend(pg_backend_pid())"))

        steps = [Step("first", cut_off), Step("next", lambda: "well", ("first",)), Step("other", lambda: "well")]
        assert take(steps) == ["first", "next"]
    said = capsys.readouterr().out
    assert "✗ first" in said and "the database went away: " in said and "start it, or mend DATABASE_URL" in said
    assert "✓ other" in said


def test_a_schema_of_a_newer_version_cannot_be_migrated(type_in: TypeIn, node: Make, one_model: Path) -> None:
    made = node(models_dir=one_model)
    open_store(made).close()
    with opened(made) as database:
        with database.transaction() as connection:
            connection.execute(text("update alembic_version set version_num = '9999'"))
        with pytest.raises(UserError, match=r"cannot be migrated: Can't locate revision .*9999.*; run the version of"):
            try_migration(database)
        code, said, _ = type_in("verify", "--offline")
        assert (code, marks(said)["database"]) == (1, "✗")


@pytest.mark.parametrize("every, horizon", [(60, 60), (15, 60), (900, 900), (3600, 86_400), (86_400, 3600), (7, 11)])
@pytest.mark.parametrize("now", ["2026-01-05T10:00:00+00:00", "2026-01-05T10:59:59+00:00", "2026-01-01T00:00:01+00:00"])
def test_the_hours_hold_a_truth_and_are_over(every: int, horizon: int, now: str, competition: Make) -> None:
    config = config_of(every, horizon)
    at = datetime.fromisoformat(now)
    first, windows = _when(config, at, market=True)
    assert windows[-1].end <= at
    assert windows[0].start <= first < windows[0].start + timedelta(hours=1) and first.timestamp() % every == 0
    assert windows[-1].start < first + config.horizon <= windows[-1].end, "as few as hold it"


def config_of(every: int, horizon: int) -> PredictionConfig:
    content = json.loads(available_packs()["baseline"].read_text())["scheduled_prediction_configs"][0]
    content["scope_template"]["horizon_seconds"], content["schedule"] = horizon, {"every_seconds": every}
    return PredictionConfig.model_validate(content)


def test_the_trial_is_of_the_node_but_in_a_schema_and_a_market_of_its_own(competition: Make) -> None:
    made = competition(pack="tournament", mode="live", feed_provider="binance")
    start = datetime(2026, 1, 5, tzinfo=UTC)
    tried = scratch(made, start, start + timedelta(hours=1))
    assert tried.schema == f"{made.schema}_verify"
    assert (tried.settings.mode, tried.settings.feed_provider) == ("replay", "simulated")
    assert (tried.home, tried.slot_paths) == (made.home, made.slot_paths)
    assert tried.pack.configs == made.pack.configs
    assert soonest(made).id == "btc-in-sample"
