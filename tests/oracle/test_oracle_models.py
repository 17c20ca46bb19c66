"""Models that fail, answer late, answer NaN, join, leave, count: every row equals the oracle, under every rule."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from coordinator_dagster.competition import Competition, read_competition
from coordinator_dagster.packs import available_packs, read_pack
from coordinator_dagster.replay import replay
from coordinator_dagster.runtime import open_runtime
from coordinator_dagster.stages.score import charge
from tests.oracle.oracle import charge as oracle_charge
from tests.oracle.oracle import expected
from tests.oracle.settling import settle
from tests.oracle.stored import compare, forecasts, frame, stored_tables

TAPE = "binance_BTC_candle_1m.csv.gz"
WriteModel = Callable[[str, str], Path]

# Ten hours around the outage of 12:40-13:59. Model `leaves` is gone for five of them, `joins` comes after six.
START, END = datetime(2023, 3, 24, 6, tzinfo=UTC), datetime(2023, 3, 24, 16, tzinfo=UTC)
LEFT, BACK, JOINED = (int((START + timedelta(hours=hours)).timestamp()) for hours in (3, 8, 6))
DEADLINE, SLEEP, TIMEOUT = 1.0, 1.2, 2.5  # seconds, far enough apart for a busy machine


@dataclass(frozen=True)
class Behaviour:
    """A model as Python: what it answers, and what it does instead `when`. `t` is the instant in Unix seconds,
    `ticks` how many the process has seen."""

    value: str
    when: str = "False"
    on_tick: str = "pass"
    on_predict: str = "pass"
    status: str = "SUCCESS"
    strikes: bool = True  # fails together with the others, so that a cycle has fewer than three answers

    @property
    def instead(self) -> str:
        return f"t % 3600 == 1020 and {self.strikes}"


MODELS = {
    "good": Behaviour("0.0", strikes=False),
    "twin": Behaviour("0.0", strikes=False),
    "counts": Behaviour("ticks * 1e-5"),
    "fails": Behaviour("2e-4", "t // 60 % 5 < 2", on_predict="raise RuntimeError('no idea')", status="FAILED"),
    "nan": Behaviour("t // 60 % 11 * 1e-5", "t // 60 % 7 == 3", on_predict="value = float('nan')", status="FAILED"),
    "late": Behaviour("-1e-4", "t % 10800 in (900, 8520)", on_tick=f"time.sleep({SLEEP})", status="LATE"),
    "hangs": Behaviour("1e-4", "t % 21600 == 900", on_predict="time.sleep(60)", status="TIMEOUT"),
    "leaves": Behaviour("t // 60 % 13 * -1e-5"),
    "joins": Behaviour("3e-5"),
}
SOURCE = """import time
from slots.tracker import TrackerBase
class Model(TrackerBase):
    ticks = 0
    def tick(self, data):
        self.ticks += 1
        self.t = t = data["asof_ts"]
        if {when}:
            {on_tick}
    def predict(self, asset, horizon, step):
        t, ticks = self.t, self.ticks
        value = {value}
        if {when}:
            {on_predict}
        if {instead}:
            raise RuntimeError("all at once")
        return {{"value": value}}
"""


def source(model: Behaviour) -> str:
    return SOURCE.format(**vars(model), instead=model.instead)


def answer(name: str, t: int) -> tuple[str, dict[str, float] | None] | None:
    """The status and the output that must be stored of a model at an instant; None: it owes nothing yet."""
    model = MODELS[name]
    if name == "joins" and t < JOINED:
        return None
    if name == "leaves" and LEFT <= t < BACK:
        return "ABSENT", None
    known = {"t": t, "ticks": t % 3600 // 60 + 1}  # a process is new at each hour, and sees every minute once
    status = model.status if eval(model.when, known) else "SUCCESS"
    if eval(model.instead, known):
        status = "FAILED"
    return status, {"value": eval(model.value, known)} if status in ("SUCCESS", "LATE") else None


def rules(**changes: Any) -> dict[str, Any]:
    """The baseline with a second config, a short deadline, and thresholds that some models do not reach."""
    pack = json.loads(available_packs()["baseline"].read_text())
    template = {"asset": "BTC", "horizon_seconds": 900, "step_seconds": 300}
    quarterly = {"id": "btc-900s", "scope_key": "BTC-900s", "scope_template": template}
    pack["scheduled_prediction_configs"].append(quarterly | {"schedule": {"every_seconds": 900}, "order": 1})
    return pack | {
        "id": "misbehaving",
        "answer_deadline": DEADLINE,
        "missing": {"rule": "percentile", "percentile": 70},
        "worst_score": -40,
        "min_cycles": 100,
        "min_coverage": 0.7,
        **changes,
    }


@pytest.fixture
def replayed(
    competition: Callable[..., Competition], model_folder: WriteModel, tape_dir: Path, tmp_path: Path
) -> Competition:
    """Models come and go between windows, under a running coordinator or while it is down."""
    for name in MODELS.keys() - {"joins"}:
        folder = model_folder(name, source(MODELS[name]))
    (tmp_path / "pack.json").write_text(json.dumps(rules()))
    made = competition(
        feed_provider="replay",
        feed_tape_dir=tape_dir,
        pack=tmp_path / "pack.json",
        competition_start=START.isoformat(),
        competition_end=END.isoformat(),
        models_dir=folder,
        model_runner_timeout_seconds=TIMEOUT,
    )
    windows = made.windows.between(START, END)
    with open_runtime(made) as runtime:
        replay(runtime, windows[:3], lambda done: None)
        shutil.rmtree(folder / "leaves")
        replay(runtime, windows[3:6], lambda done: None)
    model_folder("joins", source(MODELS["joins"]))
    with open_runtime(made) as runtime:
        replay(runtime, windows[6:8], lambda done: None)
        model_folder("leaves", source(MODELS["leaves"]))
        replay(runtime, windows[8:], lambda done: None)
    return made


@pytest.mark.oracle
def test_every_row_equals_the_oracle_whatever_models_do(
    replayed: Competition, tape_dir: Path, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    with open_runtime(replayed) as runtime:
        stored = forecasts(runtime.store)
        compare("forecasts", stored, expected_forecasts(stored))
        wrong = frame(
            runtime.store,
            "select * from forecasts join cycles using (performed_at, prediction_config_id) where "
            "forecasts.status in ('SUCCESS', 'LATE') and (forecasts.status = 'LATE') "
            f"<> (answered_at > cut_off + interval '{DEADLINE} seconds')",
        )
        assert wrong.empty, "late is what came after the cut-off and the deadline, and nothing else"

    # The percentile's scores are those of the replay itself; the others settle its forecasts once more.
    for missing in ({"rule": "percentile", "percentile": 70}, {"rule": "worst"}, {"rule": "skip"}):
        (tmp_path / "pack.json").write_text(json.dumps(rules(missing=missing)))
        with subtests.test(**missing), open_runtime(read_competition(tmp_path)) as runtime:
            if missing["rule"] != "percentile":
                settle(runtime, replayed.windows.between(START, END))
            want = expected(tape_dir / TAPE, rules(missing=missing), START, END, stored)
            not_vacuous(want, missing["rule"])
            for name, got in stored_tables(runtime.store).items():
                compare(name, got, want[name])
            compare("forecasts, after settling", forecasts(runtime.store), stored)


def expected_forecasts(stored: pd.DataFrame) -> pd.DataFrame:
    """By construction: one row per model and cycle, from the models' own rules."""
    rows = []
    for t in range(int(START.timestamp()), int(END.timestamp()), 60):
        for config in ["btc-60s", *["btc-900s"] * (t % 900 == 0)]:
            for name in sorted(MODELS):
                if said := answer(name, t):
                    rows.append([name, config, datetime.fromtimestamp(t, UTC), *said])
    return pd.DataFrame(rows, columns=list(stored.columns), dtype=object)


def not_vacuous(want: dict[str, pd.DataFrame], rule: str) -> None:
    """What the models were made for is in the oracle's own tables."""
    statuses = {"SCORED", "EXEMPT"} | ({"CHARGED"} if rule != "skip" else set())
    assert set(want["scores"].status) == statuses
    assert (want["truths"].status == "VOID").sum() == 81 + 7
    charges = want["scores"].query("status == 'CHARGED'").score_value
    assert rule == "skip" or (charges == -40).any()
    assert (charges != -40).any() == (rule == "percentile")
    boards = want["boards"].set_index(["model_id", "window_start"])
    last = {model: boards.loc[(model, END - timedelta(hours=1))] for model in MODELS}
    assert {model for model, entry in last.items() if entry["rank"] is None} == {"fails", "leaves"}
    assert last["good"]["rank"] == last["twin"]["rank"]
    assert boards.loc[("joins", START + timedelta(hours=7))]["rank"] is None, "too few answers, just joined"
    assert boards.loc[("leaves", START + timedelta(hours=2))]["rank"], "ranked before it left"


@pytest.mark.oracle
def test_a_model_that_joins_a_running_coordinator_answers_from_the_next_window(
    competition: Callable[..., Competition], model_folder: WriteModel
) -> None:
    folder = model_folder("good", source(MODELS["good"]))
    made = competition(pack="tournament", models_dir=folder)
    windows = made.windows.between(made.start, made.settings.competition_end)
    with open_runtime(made) as runtime:
        replay(runtime, windows[:1], lambda done: None)
        model_folder("late-comer", source(MODELS["good"]))
        replay(runtime, windows[1:], lambda done: None)
        found = frame(
            runtime.store, "select model_id, status, count(*) as n from forecasts group by 1, 2 order by model_id"
        )
    assert found.values.tolist() == [["good", "SUCCESS", 32], ["late-comer", "SUCCESS", 16]]


@pytest.mark.oracle
def test_an_answer_that_no_number_can_score_is_charged(
    competition: Callable[..., Competition], model_folder: WriteModel, tape_dir: Path
) -> None:
    huge = Behaviour("1e305 if t // 60 % 3 == 0 else 0.0", strikes=False)  # minus infinity, in basis points
    for name, model in {"a": MODELS["good"], "b": MODELS["twin"], "c": MODELS["good"], "huge": huge}.items():
        folder = model_folder(name, source(model))
    end = START + timedelta(hours=1)
    made = competition(
        feed_provider="replay",
        feed_tape_dir=tape_dir,
        competition_start=START.isoformat(),
        competition_end=end.isoformat(),
        models_dir=folder,
    )
    pack = json.loads(available_packs()["baseline"].read_text())
    with open_runtime(made) as runtime:
        replay(runtime, made.windows.between(START, end), lambda done: None)
        want = expected(tape_dir / TAPE, pack, START, end, forecasts(runtime.store))
        compare("scores", stored_tables(runtime.store)["scores"], want["scores"])


@pytest.mark.oracle
def test_a_percentile_is_the_oracles_for_any_number_of_answers() -> None:
    rules = json.loads(available_packs()["baseline"].read_text())
    for percentile in range(1, 101):
        missing = {"rule": "percentile", "percentile": percentile}
        pack = read_pack("baseline", {"missing": missing})
        for answers in (*range(40), 50, 75, 100, 200):
            values = [-float(value) for value in range(answers)]
            want = oracle_charge(values, rules | {"missing": missing})
            assert charge(pack, values)[0] == want, f"percentile {percentile} of {answers} answers"
