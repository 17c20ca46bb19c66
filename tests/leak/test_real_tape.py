"""Through the real assets and models, on real data: another future on the tape changes nothing up to `t`."""

import csv
import gzip
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from coordinator_dagster.code_location import build_definitions
from coordinator_dagster.competition import Competition
from coordinator_dagster.runtime import open_runtime
from tests.leak.world import Tables, assert_same, tables_upto

pytestmark = pytest.mark.leak
MINUTE = timedelta(minutes=1)
START, END = datetime(2023, 3, 24, 10, tzinfo=UTC), datetime(2023, 3, 24, 15, tzinfo=UTC)
OUTAGE = datetime(2023, 3, 24, 12, 40, tzinfo=UTC)  # until 14:00 there is no candle
QUIET = datetime(2023, 3, 24, 11, 20, tzinfo=UTC)
FAR = datetime(2100, 1, 1, tzinfo=UTC)
Row = dict[str, str]


def opening(row: Row) -> datetime:
    return datetime.fromisoformat(row["ts_event"])


def real_rows(tape_dir: Path) -> list[Row]:
    """The candles of the competition's hours and of those around it."""
    with gzip.open(tape_dir / "binance_BTC_candle_1m.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    return [row for row in rows if START - timedelta(hours=4) <= opening(row) < END + timedelta(hours=1)]


def other_future(rows: list[Row], t: datetime) -> list[Row]:
    """From the candle that is open at `t` on: a third altered, a third deleted, every missing minute put in."""
    changed = [row for row in rows if opening(row) + MINUTE <= t]
    future, last = {opening(row): row for row in rows}, changed[-1]
    for place in range((END - t) // MINUTE + 120):
        moment = t + place * MINUTE
        if moment not in future:
            changed.append(last | {"ts_event": moment.strftime("%Y-%m-%dT%H:%M:%SZ")})
        elif place % 3 == 0:
            numbers = {name: str(float(text) * 1.5 + 1) for name, text in future[moment].items() if name != "ts_event"}
            changed.append(future[moment] | numbers)
        elif place % 3 == 1:
            changed.append(future[moment])
    return changed


def no_future(rows: list[Row], t: datetime) -> list[Row]:
    """The tape ends with the candle that closes at `t`."""
    return [row for row in rows if opening(row) + MINUTE <= t]


def write_tape(folder: Path, rows: list[Row]) -> Path:
    folder.mkdir()
    with (folder / "binance_BTC_candle_1m.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder


def through_assets(competition: Competition, *moments: datetime) -> list[Tables]:
    """Every window materialized in one Dagster run; the tables up to each of these moments."""
    keys = [one.key for one in competition.windows.between(START, END)]
    tags = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
    job = build_definitions(competition).resolve_job_def(f"{competition.schema}_loop")
    with dg.DagsterInstance.ephemeral() as instance:
        assert job.execute_in_process(instance=instance, tags=tags).success
    with open_runtime(competition) as runtime:
        return [tables_upto(runtime.store, moment) for moment in moments]


def test_another_future_of_real_data_changes_nothing_up_to_t(
    competition: Callable[..., Competition], tape_dir: Path, tmp_path: Path
) -> None:
    rows = real_rows(tape_dir)

    def run(name: str, content: list[Row], *moments: datetime) -> list[Tables]:
        made = competition(
            name,
            feed_provider="replay",
            feed_tape_dir=write_tape(tmp_path / name, content),
            competition_start=START.isoformat(),
            competition_end=END.isoformat(),
            pack="baseline",
        )
        return through_assets(made, *moments)

    in_outage, in_quiet, whole = run("real", rows, OUTAGE + 10 * MINUTE, QUIET, FAR)
    assert {name: len(found) for name, found in in_outage.items()} == {
        "inference_inputs": 171,
        "cycles": 171,
        "forecasts": 3 * 171,
        "ground_truths": 170,
        "scores": 3 * 170,
        "predictions": 3 * 170,
        "score_rollups": 3 * 2,
        "model_scores": 3 * 2,
        "leaderboards": 2,
    }
    other, other_whole = run("other", other_future(rows, OUTAGE + 10 * MINUTE), OUTAGE + 10 * MINUTE, FAR)
    assert_same(other, in_outage)
    for name in set(whole) - {"cycles"}:
        assert other_whole[name] != whole[name], f"{name}: no other future reached it, the test would show nothing"
    [cut] = run("cut", no_future(rows, QUIET), QUIET)
    assert_same(cut, in_quiet)
    assert len(cut["leaderboards"]) == 1
