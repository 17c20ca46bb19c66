"""Time: answers that come too late, milliseconds, schedules with a unit."""

import json
import statistics
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from coordinator_dagster.cli.validate import validate
from coordinator_dagster.competition import Competition
from coordinator_dagster.errors import UserErrors
from coordinator_dagster.packs import available_packs, read_pack
from tests.original_faults.conftest import WritePack
from tests.original_faults.world import (
    MINUTE,
    START,
    always,
    opened,
    perform,
    rows,
    said,
    settle,
    windows_of,
)

Make = Callable[..., Competition]
ONE_HOUR = {"competition_end": "2026-01-05T01:00Z"}


def test_answers_accepted_up_to_60_s_late_on_a_60_s_horizon(competition: Make) -> None:
    """Answers accepted up to 60 s late on a 60 s horizon. Here 6 s after the cut-off is the last moment."""
    delays = {START: 5.999, START + MINUTE: 6.0, START + 2 * MINUTE: 6.001, START + 3 * MINUTE: 59.9}
    made = competition(**ONE_HOUR)
    scripts = {"slow": lambda t: said(0.0, elapsed=delays.get(t, 0.01)), "a": always(0.001), "b": always(0.002)}
    with opened(made, scripts) as runtime:
        perform(runtime, windows_of(made))
        settle(runtime, windows_of(made))
        found = rows(
            runtime,
            "select performed_at as t, status, score_status, score_value, answered_at - performed_at as after, "
            "meta_jsonb->>'reason' as why from predictions where model_id = 'slow' order by 1",
        )
        worst = rows(
            runtime, "select performed_at as t, min(score_value) as v from scores where model_id <> 'slow' group by 1"
        )
        sums = rows(runtime, "select due, answered, charged from score_rollups where model_id = 'slow'")
    late = [row for row in found if row["status"] == "LATE"]
    assert [row["t"] for row in late] == [START + 2 * MINUTE, START + 3 * MINUTE]
    assert late[0]["after"] == timedelta(seconds=1 + 6.001), "input_wait, then the answer's time"
    assert late[0]["why"] == "answered after 6.001 s, allowed were 6 s"
    assert {row["score_status"] for row in late} == {"CHARGED"}, "never scored for what it said"
    cost = {row["t"]: row["v"] for row in worst}
    assert all(row["score_value"] in (-500.0, cost[row["t"]]) for row in late)
    assert {(row["status"], row["score_status"]) for row in found if row not in late} == {("SUCCESS", "SCORED")}
    assert sums == [{"due": 60, "answered": 58, "charged": 2}]


def test_answers_accepted_up_to_60_s_late_cannot_be_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers accepted up to 60 s late on a 60 s horizon. `validate` refuses more than a tenth of the horizon."""
    for name, content in {id_: json.loads(path.read_text()) for id_, path in available_packs().items()}.items():
        (tmp_path / "mine.json").write_text(json.dumps(content))
        pack = read_pack(str(tmp_path / "mine.json"))
        shortest = min(config.horizon for config in pack.configs)
        assert all(pack.deadline(config) <= min(config.every / 2, shortest / 10) for config in pack.configs), name
        most = shortest.total_seconds() / 10
        (tmp_path / "mine.json").write_text(json.dumps(content | {"answer_deadline": most + 0.5}))
        with pytest.raises(UserErrors, match=rf"answer_deadline = {most + 0.5:g} is more than a tenth of the horizon"):
            read_pack(str(tmp_path / "mine.json"))
    monkeypatch.setenv("PACK", str(tmp_path / "mine.json"))
    with pytest.raises(UserErrors, match=r"answer_deadline = 30.5 is more than a tenth .* of 300 s; set at most 30"):
        validate()


SLEEPS = """import time
from slots.tracker import TrackerBase
class Model(TrackerBase):
    def tick(self, data):
        pass
    def predict(self, asset, horizon, step):
        time.sleep(0.05)
        return {"value": 0.0}
"""


def test_microseconds_stored_as_exec_time_ms(
    competition: Make, pack: WritePack, model_folder: Callable[[str, str], Path]
) -> None:
    """Microseconds stored as `exec_time_ms`. A model that sleeps 50 ms took 50 and a little."""
    made = competition(pack=pack(300, 300), models_dir=model_folder("sleeps", SLEEPS), **ONE_HOUR)
    with opened(made) as runtime:
        perform(runtime, windows_of(made))
        took = [
            row["ms"] for row in rows(runtime, "select exec_time_ms as ms from predictions where status = 'SUCCESS'")
        ]
    assert len(took) == 12
    assert min(took) >= 50
    assert statistics.median(took) < 500


@pytest.mark.parametrize(
    ("schedule", "fault"),
    [
        ({"every": 60}, "schedule.every = 60: unknown field"),
        ({"every_seconds": 60, "resolve_after": 60}, "schedule.resolve_after = 60: unknown field"),
        ({"every_seconds": "60s"}, "schedule.every_seconds = '60s': Input should be a valid integer"),
        (
            {"every_seconds": 60, "resolve_after_seconds": 0},
            "schedule.resolve_after_seconds = 0: Input should be greater",
        ),
    ],
)
def test_unit_less_schedules_resolvable_at_once_are_refused(
    competition: Make, pack: WritePack, schedule: dict[str, object], fault: str
) -> None:
    """Unit-less schedules resolvable at once. A unit-less one is no schedule."""
    path = pack()
    content = json.loads(path.read_text())
    content["scheduled_prediction_configs"][0]["schedule"] = schedule
    path.write_text(json.dumps(content))
    with pytest.raises(UserErrors) as refused:
        competition(pack=path)
    assert any(fault in one for one in refused.value.faults), refused.value.faults


@pytest.mark.parametrize(("after", "seconds"), [(None, 900), (1200, 1200)])
def test_unit_less_schedules_resolvable_at_once(
    competition: Make, pack: WritePack, after: int | None, seconds: int
) -> None:
    """Unit-less schedules resolvable at once. Here a cycle is resolvable a whole horizon after its instant."""
    path = pack(300, 900)
    content = json.loads(path.read_text())
    content["scheduled_prediction_configs"][0]["schedule"] |= {"resolve_after_seconds": after} if after else {}
    path.write_text(json.dumps(content))
    made = competition(pack=path, **ONE_HOUR)
    with opened(made, {"a": always(0.0)}) as runtime:
        perform(runtime, windows_of(made))
        settle(runtime, windows_of(made))
        for table in ("cycles", "forecasts", "predictions", "scores", "ground_truths"):
            waits = rows(runtime, f"select distinct resolvable_at - performed_at as wait from {table}")
            assert waits == [{"wait": timedelta(seconds=seconds)}], table
        last = rows(runtime, "select max(performed_at) as t from ground_truths")
        assert last == [{"t": START + timedelta(hours=1, seconds=-seconds)}], "the tape goes to 01:00"
