"""What models do, as it is stored, charged and ranked."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coordinator_dagster.competition import Competition
from coordinator_dagster.replay import replay
from coordinator_dagster.runtime import open_runtime
from coordinator_dagster.windows import Window

Make = Callable[..., Competition]
WriteModel = Callable[[str, str], Path]

HEAD = """from slots.tracker import TrackerBase
class Model(TrackerBase):
    def tick(self, data):
        self.n = data["asof_ts"]
"""
GOOD = HEAD + "    def predict(self, asset, horizon, step):\n        return {'value': 0.0001}\n"
MODELS = {
    "good": GOOD,
    "nan": GOOD.replace("0.0001", "float('nan')"),
    "text": GOOD.replace("{'value': 0.0001}", "'up'"),
    "nul": GOOD.replace("0.0001}", "0.0001, 'note': 'a\\x00b'}"),
    "raises": GOOD.replace("return {'value': 0.0001}", "raise RuntimeError('no \\x00 idea')"),
    "hangs": GOOD.replace("return {'value': 0.0001}", "\n        while True: pass"),
    "dies": GOOD.replace("return {'value': 0.0001}", "import os; os._exit(3)"),
}


def run(competition: Competition, windows: slice = slice(None)) -> list[Window]:
    with open_runtime(competition) as runtime:
        chosen = competition.windows.between(competition.start, competition.settings.competition_end)[windows]
        replay(runtime, chosen, lambda done: None)
    return chosen


def rows(competition: Competition, sql: str) -> list[dict[str, Any]]:
    with open_runtime(competition) as runtime:
        return [dict(row._mapping) for row in runtime.store.database.read(sql)]


@pytest.fixture
def misbehaving(competition: Make, model_folder: WriteModel) -> Competition:
    """An hour of the tournament with models that fail in every way, beside a good one."""
    for name, body in MODELS.items():
        folder = model_folder(name, body)
    made = competition(
        pack="tournament",
        models_dir=folder,
        model_runner_timeout_seconds=0.3,
        competition_end="2026-01-05T01:00Z",
        model_runner_max_consecutive_failures=0,  # each is asked to the end
        model_runner_max_consecutive_timeouts=0,
    )
    run(made)
    return made


def test_each_failure_has_its_status_and_reason(misbehaving: Competition) -> None:
    found = rows(
        misbehaving,
        "select model_id, status, count(*) as n, max(meta_jsonb->>'reason') as reason, "
        "max(meta_jsonb->>'raw') as raw from predictions group by 1, 2",
    )
    by_model = {row["model_id"]: row for row in found}
    assert len(found) == len(MODELS), "a model has more than one status"
    assert {name: row["status"] for name, row in by_model.items()} == {
        "good": "SUCCESS",
        "nan": "FAILED",
        "text": "FAILED",
        "nul": "FAILED",
        "raises": "FAILED",
        "hangs": "TIMEOUT",
        "dies": "FAILED",
    }
    assert {row["n"] for row in found} == {16}, "12 in-sample and 4 out-of-sample cycles"
    assert "finite" in by_model["nan"]["reason"]
    assert by_model["nan"]["raw"] == "{'value': nan}"
    assert by_model["nul"]["raw"] == r"{'value': 0.0001, 'note': 'a\x00b'}"
    assert "no idea" in " ".join(by_model["raises"]["reason"].split())
    assert "exit code 3" in by_model["dies"]["reason"]


def test_failures_are_charged_and_never_lead(misbehaving: Competition) -> None:
    charged = rows(
        misbehaving,
        "select distinct score_status, score_success, score_value, score_failed_reason "
        "from predictions where model_id = 'hangs' and score_status is not null",
    )
    assert charged == [
        {
            "score_status": "CHARGED",
            "score_success": True,
            "score_value": -500.0,
            "score_failed_reason": "CHARGED: TIMEOUT, the worst score",
        }
    ]
    board = rows(
        misbehaving,
        "select e->>'model_id' as model, (e->>'rank')::int as rank, e->>'unranked_reason' as why "
        "from leaderboards, jsonb_array_elements(entries_jsonb) e",
    )
    assert all(row["rank"] is None and row["why"] for row in board), "16 cycles are fewer than min_cycles"


def test_a_model_that_leaves_is_absent_and_one_that_joins_owes_nothing_before(
    competition: Make, model_folder: WriteModel
) -> None:
    model_folder("early", GOOD)
    folder = model_folder("stays", GOOD)
    made = competition(models_dir=folder)
    run(made, slice(0, 1))
    (folder / "early" / "main.py").unlink()
    (folder / "early").rmdir()
    model_folder("late", GOOD)
    run(made)
    found = rows(
        made,
        "select model_id, status, count(*) as n, min(performed_at)::text as first from predictions "
        "group by 1, 2 order by 1, 2",
    )
    assert [(row["model_id"], row["status"], row["n"]) for row in found] == [
        ("early", "ABSENT", 60),
        ("early", "SUCCESS", 60),
        ("late", "SUCCESS", 60),
        ("stays", "SUCCESS", 120),
    ]
    due = rows(
        made,
        "select e->>'model_id' as model, (e->'score'->'payload'->>'due')::int as due from leaderboards, "
        "jsonb_array_elements(entries_jsonb) e where window_start = '2026-01-05T01:00Z' order by 1",
    )
    assert due == [{"model": "early", "due": 120}, {"model": "late", "due": 60}, {"model": "stays", "due": 120}]


def test_an_answer_past_its_deadline_is_late_and_charged(
    competition: Make, model_folder: WriteModel, tmp_path: Path
) -> None:
    slow = GOOD.replace("return {", "import time; time.sleep(0.02); return {")
    folder = model_folder("slow", slow)
    model_folder("good", GOOD)
    (tmp_path / "strict.json").write_text(_strict_pack())
    made = competition(models_dir=folder, pack=tmp_path / "strict.json", competition_end="2026-01-05T01:00Z")
    run(made)
    found = rows(
        made, "select distinct model_id, status, score_status, score_value from predictions where model_id = 'slow'"
    )
    assert found == [{"model_id": "slow", "status": "LATE", "score_status": "CHARGED", "score_value": -500.0}]
    assert rows(made, "select count(*) as n from predictions where inference_output_jsonb is null")[0]["n"] == 0


def _strict_pack() -> str:
    import json

    from coordinator_dagster.packs import available_packs

    pack = json.loads(available_packs()["baseline"].read_text())
    return json.dumps(pack | {"id": "strict", "answer_deadline": 0.01})
