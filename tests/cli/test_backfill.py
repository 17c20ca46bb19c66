"""`coordinator backfill` and `coordinator tape`; and what `validate` says of feeds."""

import gzip
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coordinator_dagster.cli.validate import settings_faults
from coordinator_dagster.competition import Competition
from coordinator_dagster.store.database import Database
from tests.cli.test_cli import COMMAND, START, Run, error_lines, run  # noqa: F401
from tests.conftest import PROJECT


def test_a_backfill_that_is_killed_goes_on_where_it_was(
    run: Run,  # noqa: F811
    schema: Callable[[str], str],
    database_url: str,
    tmp_path: Path,
) -> None:
    settings: dict[str, object] = {
        "competition": schema("backfill"), "competition_start": START, "database_url": database_url, "pack": "realtime"
    }  # fmt: skip
    arguments = ["backfill", "--from", START, "--to", "2026-01-05T10:00Z"]
    environment = os.environ | {name.upper(): str(value) for name, value in settings.items()}
    environment |= {"COORDINATOR_HOME": str(tmp_path / "home")}
    database = Database(database_url, str(settings["competition"]).replace("-", "_"))
    killed = subprocess.Popen([*COMMAND, *arguments], env=environment, stdout=subprocess.DEVNULL)
    try:
        while _stored(database) <= 4 * 3600:  # the first window, with what is before it, and some of the second
            assert killed.poll() is None, "it ended before it could be killed"
            time.sleep(0.01)
    finally:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    before = _stored(database)
    assert before < 13 * 3600
    done = run(*arguments, **settings)
    assert done.returncode == 0, done.stderr
    assert "10 windows: " in done.stdout and " 0 restated, 0 gaps stand" in done.stdout
    assert _stored(database) == 13 * 3600
    fetched = int(done.stdout.split("10 windows: ")[1].split()[0])
    assert fetched < 13 * 3660, "not all of it again"
    again = run(*arguments, **settings)
    assert "10 windows: 0 records, 0 new" in again.stdout, "what is on the tape is not asked for again"
    refetched = run(*arguments, "--refetch", **settings)
    assert f"{13 * 3660} records, 0 new, 0 restated" in refetched.stdout
    shown = run("tape", **settings).stdout
    for part in ("simulated/BTC/tick/1s", "2026-01-05 10:00:00", "duplicate"):
        assert part in shown
    database.close()


def _stored(database: Database) -> int:
    if not database.read("select to_regclass('market_records') as it")[0].it:
        return 0
    return int(database.read("select count(*) as n from market_records where kind = 'tick'")[0].n)


@pytest.mark.parametrize(
    ("settings", "granularity", "expected"),
    [
        ({"feed_provider": "binanec"}, "1m", "not a feed; there are replay, simulated, binance, pyth, none (did you"),
        ({"feed_provider": "binance", "feed_base_url": "api.binance.us"}, "1m", "is not a URL; write it like https://"),
        ({"feed_provider": "binance", "feed_stream_url": "https://x"}, "1m", "is not one of websockets"),
        ({"feed_provider": "binance"}, "7s", "binance has no candle of 7s; it has 1s, 1m, 3m"),
        ({"feed_provider": "pyth"}, "7s", "pyth has no candle of 7s; it has 1m, 2m, 5m"),
        ({"feed_provider": "pyth", "feed_base_url": "hermes"}, "1m", "FEED_BASE_URL=hermes is not a URL"),
        ({"feed_assets": "ETH,SOL"}, "1m", "FEED_ASSETS=ETH,SOL: the pack mine needs BTC/candle/1m; add BTC"),
        ({"feed_kind": "tick"}, "1m", "FEED_KIND=tick: the pack mine needs BTC/candle/1m; add candle, or unset"),
        ({"feed_granularity": "5m"}, "1m", "FEED_GRANULARITY=5m: the pack mine needs BTC/candle/1m; add 1m, or unset"),
    ],
)
def test_a_feed_that_cannot_be_is_a_fault_that_names_what_is_allowed(
    competition: Callable[..., Competition], tmp_path: Path, settings: dict[str, str], granularity: str, expected: str
) -> None:
    pack: dict[str, Any] = json.loads((PROJECT / "packs" / "baseline.json").read_text())
    pack["id"], pack["series"][0]["granularity"] = "mine", granularity
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(pack))
    faults = settings_faults(competition(pack=str(path), **settings))
    assert any(expected in fault for fault in faults), faults


@pytest.mark.venue
def test_validate_asks_the_venue_whether_it_has_the_assets(run: Run, tmp_path: Path) -> None:  # noqa: F811
    stand_in_exchange = pytest.importorskip("stand_in_exchange", reason="the stand-in is not importable")
    folder = tmp_path / "tape"
    folder.mkdir()
    with gzip.open(folder / "binance_BTC_candle_1m.csv.gz", "wt") as file:
        file.write("ts_event,open,high,low,close,volume\n2026-01-05T00:00:00Z,1,1,1,1,1\n")
    with stand_in_exchange.running(folder, start=START, speed=0) as url:
        settings = {"competition_start": START, "feed_provider": "binance", "feed_base_url": url}
        assert run("validate", **settings).returncode == 0
        (fault,) = error_lines(run("validate", feed_assets="BTC,DOGE", **settings))
        assert "DOGE not traded against USDT" in fault
        assert "allowed, nearest names first: BTC" in fault
    done = run("validate", **settings)
    assert done.returncode == 0
    assert "warning: whether the feed has these assets could not be asked" in done.stderr
