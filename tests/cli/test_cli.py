"""The command as it is typed: what it prints, its exit code, and what it leaves alone."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from coordinator_dagster.store.database import with_driver
from tests.conftest import PROJECT

COMMAND = [sys.executable, "-c", "from coordinator_dagster.cli import main; main()"]
START = "2026-01-05T00:00Z"
PASSWORD = "hunter2secret"
MODELS = PROJECT / "examples" / "models"
UNREACHABLE = f"postgresql://somebody:{PASSWORD}@127.0.0.1:1/nowhere"
IN_THE_QUERY = f"postgresql://127.0.0.1:1/nowhere?user=somebody&password={PASSWORD}"

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs the command in an empty home with these settings and nothing else of the machine's."""
    home = tmp_path / "home"
    home.mkdir()

    def run_command(*arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
        environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        environment |= {"COORDINATOR_HOME": str(home), "COLUMNS": "400"}
        environment |= {name.upper(): str(value) for name, value in settings.items()}
        done = subprocess.run(
            [*COMMAND, *arguments], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        assert "Traceback" not in done.stderr + done.stdout, done.stderr
        return done

    return run_command


def error_lines(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What the command complained of, when it failed as it should."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr.startswith("error: ")
    return done.stderr.removeprefix("error: ").splitlines()


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def test_packs_lists_the_three(run: Run) -> None:
    done = run("packs")
    assert done.returncode == 0
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip()}
    assert {"baseline", "realtime", "tournament", "btc-out-of-sample"} <= set(rows)
    assert "15 s    60 s      BTC tick 1s, BTC candle 1m" in rows["realtime"]


def test_validate_names_all_ten_slots_and_where_they_came_from(run: Run) -> None:
    done = run("validate", competition_start=START, scoring_function="slots.defaults:score_prediction")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("ok  ") == 10
    assert "ok  SCORING_FUNCTION=slots.defaults:score_prediction (from environment)\n" in done.stdout
    assert "all ten slots ran" in done.stdout


def test_validate_can_look_at_what_is_stored_and_changes_nothing(
    run: Run, database_url: str, schema: Callable[[], str]
) -> None:
    here = {"competition": schema(), "database_url": database_url, "competition_start": START, "models_dir": MODELS}
    assert run("validate", "--offline", "--stored", **here).returncode == 0
    assert run("replay", "--from", START, "--to", "2026-01-05T01:00Z", **here).returncode == 0
    assert run("validate", "--offline", "--stored", **here).returncode == 0
    changed = here | {"window": "day", "pack": "tournament", "models_dir": "no/such"}
    fixed, *configs, models = error_lines(run("validate", "--offline", "--stored", **changed))
    assert fixed.startswith("WINDOW=day: the schema") and "was begun with hour, which cannot change" in fixed
    assert configs and all("coordinator order configs" in one for one in configs)
    assert "no/such: there is no such folder of models" in models
    away, *_ = error_lines(run("validate", "--offline", "--stored", **here | {"database_url": UNREACHABLE}))
    assert away.startswith("DATABASE_URL: cannot connect to")


def test_validate_prints_every_fault(run: Run, tmp_path: Path) -> None:
    (tmp_path / "home" / "mine.py").write_text("def ground_truth(predicton): ...\n")
    lines = error_lines(
        run(
            "validate",
            feed_kind="tick",
            scoring_function="slots.default:score_prediction",
            ground_truth_resolver="mine:ground_truth",
        )
    )
    start, kind, truth, scorer = lines
    assert start.startswith("COMPETITION_START is not set; set it to the first hour, such as")
    assert kind == "FEED_KIND=tick: the pack baseline needs BTC/candle/1m; add candle, or unset FEED_KIND"
    assert truth.startswith(
        "GROUND_TRUTH_RESOLVER=mine:ground_truth (from environment): it wants an argument 'predicton'"
    )
    assert "(nearest: prediction)" in truth
    assert scorer.startswith("SCORING_FUNCTION=slots.default:score_prediction (from environment): there is no module")
    assert "(nearest: slots.defaults)" in scorer


def test_bad_settings_are_reported_all_at_once_with_their_sources(run: Run, tmp_path: Path) -> None:
    local = tmp_path / "home" / ".local.env"
    local.write_text("MODE=alive\nFEED_GRANULARITY=1x\n")
    settings = {
        "competition": "Demo",
        "window": "day",
        "competition_start": "2026-01-05T01:00Z",
        "competition_end": "2026-01-06T00:00",
        "model_runner_timeout_seconds": "0",
        "feed_seed": "one",
    }
    faults = dict(line.split(" = ", 1) for line in error_lines(run("validate", **settings)))
    assert faults.pop(f"{local}: MODE") == "'alive': Input should be 'live' or 'replay'"
    assert faults.pop(f"{local}: FEED_GRANULARITY").startswith("'1x': granularity '1x' is not a number and a unit")
    assert faults.pop("environment: COMPETITION").startswith("'Demo': must be a slug")
    assert "must be a midnight where WINDOW=day" in faults.pop("environment: COMPETITION_START")
    assert "has no time zone; write it as UTC" in faults.pop("environment: COMPETITION_END")
    assert faults.pop("environment: MODEL_RUNNER_TIMEOUT_SECONDS") == "'0': Input should be greater than 0"
    assert faults.pop("environment: FEED_SEED").startswith("'one': Input should be a valid integer")
    assert not faults


def test_doctor_finds_nothing_wrong_where_nothing_is(run: Run, database_url: str) -> None:
    models = PROJECT / "examples" / "models"
    port = free_port()
    done = run("doctor", "--port", port, competition_start=START, database_url=database_url, models_dir=models)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "✗" not in done.stdout
    assert "(set, not shown)" in done.stdout
    assert database_url not in done.stdout


def test_doctor_says_what_is_wrong_without_the_password(run: Run, tmp_path: Path) -> None:
    local = tmp_path / "home" / ".local.env"
    local.write_text(f"DATABASE_URL={UNREACHABLE}\nCOMPETITION_STRAT={START}\n")
    done = run("doctor", "--offline", "--port", free_port())
    (line,) = error_lines(done)
    sick = [row.split("✗")[1].split("  ")[1:] for row in done.stdout.splitlines() if "✗" in row]
    assert line.startswith(f"{len(sick)} of ")
    assert [" ".join(row).split()[0] for row in sick] == ["settings", ".local.env", "models", "database"]
    assert "write COMPETITION_START" in done.stdout
    assert "DATABASE_URL: cannot connect to" in done.stdout
    assert PASSWORD not in "".join((done.stdout + done.stderr).split())


def test_doctor_shows_settings_that_cannot_be_read(run: Run) -> None:
    done = run("doctor", "--offline", mode="alive", database_url=UNREACHABLE)
    assert "need attention" in error_lines(done)[0]
    assert "environment: MODE = 'alive': Input should be 'live' or 'replay'" in done.stdout
    assert PASSWORD not in done.stdout


@pytest.mark.parametrize(
    ("options", "settings", "message"),
    [
        (["--from", "yesterday"], {"competition_start": START}, "--from=yesterday: "),
        (
            ["--from", "2026-01-05T00:30Z"],
            {},
            "--from=2026-01-05T00:30Z: must be a full hour, such as 2026-01-05T00:00Z",
        ),
        (
            ["--from", "2026-01-05T00:00"],
            {},
            "--from=2026-01-05T00:00: '2026-01-05T00:00' has no time zone; write it as",
        ),
        (["--from", "2026-01-05T03:00Z", "--to", "2026-01-05T01:00Z"], {}, "no window between 2026-01-05T03:00:00+00"),
        (["--from", "2026-01-04"], {"competition_start": START}, "--from=2026-01-04 is before COMPETITION_START=2026-"),
        ([], {}, "COMPETITION_START is not set; give --from, or set it"),
        (["--from", START, "--tape", "nowhere"], {}, "FEED_TAPE_DIR: "),
        (["--from", START], {"mode": "live"}, "MODE=live: a live competition is not replayed into its own schema; set"),
        (["--from", START], {"feed_provider": "binanse"}, "FEED_PROVIDER=binanse is not a feed; there are replay, sim"),
    ],
)
def test_a_replay_that_cannot_be_says_so_and_leaves_no_trace(
    run: Run,
    tmp_path: Path,
    database_url: str,
    schema: Callable[[], str],
    options: list[str],
    settings: dict[str, str],
    message: str,
) -> None:
    name = schema()
    (line,) = error_lines(run("replay", *options, competition=name, database_url=database_url, **settings))
    assert line.startswith(message)
    assert list((tmp_path / "home").iterdir()) == []
    with create_engine(with_driver(database_url)).connect() as connection:
        found = connection.execute(
            text("select 1 from information_schema.schemata where schema_name = :name"),
            {"name": name.replace("-", "_")},
        )
        assert found.all() == []


@pytest.mark.parametrize("url", [UNREACHABLE, IN_THE_QUERY])
def test_a_database_that_cannot_be_reached_is_named_without_its_password(run: Run, tmp_path: Path, url: str) -> None:
    done = run("replay", "--from", START, "--to", "2026-01-05T01:00Z", database_url=url)
    found = " ".join(error_lines(done))
    assert found.startswith("DATABASE_URL: cannot connect to postgresql")
    assert "somebody:***@127.0.0.1:1/nowhere" in found
    assert "start the server or mend the URL, or unset DATABASE_URL" in found
    assert PASSWORD not in done.stdout + done.stderr
    assert list((tmp_path / "home").iterdir()) == []


def test_before_any_run_there_is_no_leaderboard_yet(run: Run, database_url: str, schema: Callable[[], str]) -> None:
    done = run("leaderboard", competition=schema(), database_url=database_url)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(
        "no leaderboard yet: live, it comes with the first settled window; else run `coordinator replay`"
    )


def test_a_misspelt_option_is_a_usage_error(run: Run) -> None:
    done = run("replay", "--form", START)
    assert done.returncode == 2
    assert "--from" in done.stderr
