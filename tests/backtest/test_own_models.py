"""A participant's models in this very process: judged as the local runner judges them, and kept apart."""

import sys
import time
from pathlib import Path
from typing import Any

import pytest

from coordinator_dagster.backtest.own_models import Models, OwnModels
from coordinator_dagster.errors import UserError, UserErrors
from coordinator_dagster.runners.base import Answer, Call
from coordinator_dagster.runners.local import LocalRunner
from slots.tracker import TrackerBase

BASE = "slots.tracker.TrackerBase"
TICK = b'{"asof_ts":60,"candles_1m":[]}'
CALLS = [Call(["BTC", 60], {"step": 15, "unknown": 1}), Call(["BTC", 60, 30])]
HEAD = "import numpy as np\nfrom slots.tracker import TrackerBase\nclass Model(TrackerBase):\n"
TELLS = HEAD + "    def tick(self, data): self.data = data\n    def predict(self, *given, **named):\n        "
ODD = {
    "given": TELLS + "return {'given': [*given, named], 'tick': self.data}",
    "spoils": TELLS + "self.data.clear(); return {'left': self.data}",
    "numpy": TELLS + "return {'value': np.float64(0.5), 'path': np.arange(3)}",
    "nothing": TELLS + "return None",
    "infinite": TELLS + "return [float('inf'), float('nan')]",
    "exits": TELLS + "raise SystemExit",
    "deep": TELLS + "a = []\n        for _ in range(10**5): a = [a]\n        return a",
    "large": TELLS + "return list(range(30_000))",
    "long": TELLS + "return 'x' * 2_000_000",
    "wordless": TELLS + "raise type('Odd', (Exception,), {'__str__': lambda self: 1 / 0})()",
    "reads": TELLS + "return open('weights.txt').read()",
    "imports": TELLS + "import late; late.VALUE += 1; return late.VALUE",
    "syntax": "class Model(:\n",
    "classless": "VALUE = 1\n",
    "leaves": "import sys\nsys.exit(4)\n",
    "refuses": HEAD + "    def __init__(self): raise OSError('no weights')\n",
}


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    for name, code in ODD.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "main.py").write_text(code)
    (folder / "reads" / "weights.txt").write_text("0.5")
    (folder / "imports" / "late.py").write_text("VALUE = 7")
    (folder / "package" / "main").mkdir(parents=True)
    (folder / "package" / "main" / "__init__.py").write_text("from .parts import Model\n")
    (folder / "package" / "main" / "parts.py").write_text(TELLS + "from .late import VALUE; return VALUE")
    (folder / "package" / "main" / "late.py").write_text("VALUE = 8")
    return folder


def judged(answers: dict[str, list[Answer]]) -> dict[str, list[tuple[Any, ...]]]:
    """All but what is measured; NaN in words."""
    return {
        name: [(one.status, repr(one.output), one.reason, one.exec_time_ms is None) for one in own]
        for name, own in answers.items()
    }


def test_answers_are_judged_as_the_local_runner_judges_them(odd: Path) -> None:
    own = OwnModels(odd, BASE)
    with LocalRunner(odd, "slots.tracker:TrackerBase") as local:
        assert own.models() == local.models()
        for skip in ((), ("given", "exits")):
            found = judged(own.ask(TICK, CALLS, 20.0, skip))
            assert found == judged(local.ask(TICK, CALLS, 20.0, skip))
            assert list(found) == sorted({*ODD, "package"} - set(skip))
    assert found["reads"][0][:2] == ("SUCCESS", "'0.5'") and found["imports"][0][:2] == ("SUCCESS", "10")
    assert found["package"][0][:2] == ("SUCCESS", "8")
    assert found["refuses"][0][2] == "could not start: OSError: no weights (main.py:4)"


def test_nothing_of_a_model_is_left_behind(odd: Path) -> None:
    path, folder = list(sys.path), Path.cwd()
    OwnModels(odd, BASE).ask(TICK, CALLS, 5.0)
    assert [one for one in sys.modules if one.partition(".")[0] in ("main", "late")] == []
    assert (sys.path, Path.cwd()) == (path, folder)
    assert not list(odd.rglob("__pycache__"))


def test_a_module_of_ours_is_not_taken_for_the_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "late", Ellipsis)  # type: ignore[arg-type]
    (tmp_path / "main.py").write_text(ODD["imports"])
    (tmp_path / "late.py").write_text("VALUE = 8")
    own = OwnModels({"a": tmp_path}, BASE)
    assert own.ask(TICK, CALLS[:1], 5.0)["a"][0].output == 9
    assert sys.modules["late"] is Ellipsis


class Counting(TrackerBase):
    """Counts its ticks; every third takes its time."""

    started = 0

    def __init__(self) -> None:
        Counting.started += 1
        self.ticks = 0

    def tick(self, data: dict[str, Any]) -> None:
        self.ticks += 1

    def predict(self, asset: str, horizon: int, step: int) -> dict[str, Any]:
        if self.ticks == 3:
            time.sleep(0.05)
        return {"value": self.ticks}


def outputs(own: OwnModels, timeout: float = 5.0) -> list[Any]:
    return [one.output or one.status for one in own.ask(TICK, CALLS, timeout)["mine"]]


def test_an_instance_lasts_a_window_and_ticks_once_an_instant() -> None:
    Counting.started = 0
    own = OwnModels({"mine": Counting}, BASE)
    own.fresh()
    own.fresh()
    assert Counting.started == 1, "who has not been asked is fresh already"
    assert outputs(own) == [{"value": 1}] * 2
    assert outputs(own) == [{"value": 2}] * 2
    own.fresh(wait=False)
    assert outputs(own) == [{"value": 1}] * 2
    assert Counting.started == 2
    info = own.models()[0]
    assert (info.id, info.name, info.player_name) == ("mine", "mine", "mine")


def test_who_takes_too_long_is_a_timeout_and_begins_anew() -> None:
    own = OwnModels({"mine": Counting}, BASE)
    own.fresh()
    for _ in range(2):
        own.ask(TICK, CALLS, 5.0)
    answer = own.ask(TICK, CALLS, 0.02)["mine"][1]
    assert (answer.status, answer.reason, answer.output) == ("TIMEOUT", "no answer within 0.02 s", None)
    assert answer.elapsed >= 0.1
    assert outputs(own) == [{"value": 1}] * 2


def test_control_c_ends_the_backtest_and_errors_are_shown_a_few_times(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "main.py").write_text(TELLS + "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        OwnModels({"a": tmp_path}, BASE).ask(TICK, CALLS, 5.0)
    (tmp_path / "main.py").write_text(TELLS + "raise ValueError(given[2:])")
    own = OwnModels({"a": tmp_path}, BASE)
    for step in (1, 1, 2, 3, 4, 5):
        own.ask(TICK, [Call(["BTC", 60, step])], 5.0)
    assert capfd.readouterr().err.count("Traceback") == 3


@pytest.mark.parametrize(
    ("models", "said"),
    [
        ({"A B": Counting}, "A B: rename it"),
        ({"mine": dict}, "mine: dict is no subclass of slots.tracker.TrackerBase"),
        ({"mine": Path("/nonexistent")}, "/nonexistent: cannot be read"),
        ({"mine": Path(__file__).parent}, "it has no main.py"),
        ({}, "there is no model in it"),
        (Path("/nonexistent"), "there is no such folder of models"),
    ],
)
def test_what_is_no_model_is_refused(models: Models, said: str) -> None:
    with pytest.raises(UserError, match=said):
        OwnModels(models, BASE)


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(UserErrors) as told:
        OwnModels({"A": Counting, "b": dict}, BASE)
    assert len(told.value.faults) == 2
    with pytest.raises(UserError, match=r"MODEL_BASE_CLASSNAME=slots.tracker.Nobody cannot be loaded"):
        OwnModels({"mine": Counting}, "slots.tracker.Nobody")
