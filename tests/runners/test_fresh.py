"""Models start anew for a window: whoever was asked, once, and with what it imports loaded before."""

import time
from pathlib import Path

from local_models import GOOD, HEAD, Make, body, one, pid, write

from coordinator_dagster.runners.local import LocalRunner
from coordinator_dagster.runners.preload import imported

BORN = "import time\nBORN = time.monotonic()\ntime.sleep(0.2)\n" + body("return {'value': BORN}")


def test_started_ahead_they_are_started_once_and_ready_by_then(make: Make) -> None:
    runner = make(a=BORN)
    one(runner)
    before = pid(runner, "a")
    began = time.monotonic()
    runner.fresh(wait=False)
    assert time.monotonic() - began < 0.15
    ahead = pid(runner, "a")
    runner.fresh()
    assert before != ahead == pid(runner, "a")
    assert began < one(runner)["a"].output["value"] < time.monotonic() - 0.2
    runner.fresh()
    assert pid(runner, "a") != ahead, "it had been asked"


def test_what_changed_after_a_start_ahead_is_started_as_it_is(make: Make, tmp_path: Path) -> None:
    runner = make(a=GOOD, b=GOOD)
    one(runner)
    runner.fresh(wait=False)
    kept = pid(runner, "b")
    write(tmp_path, "a", body("return {'value': 'new'}"))
    write(tmp_path, "c", GOOD)
    runner.fresh()
    assert pid(runner, "b") == kept and one(runner)["a"].output == {"value": "new"}
    assert list(one(runner)) == ["a", "b", "c"]


def test_what_models_import_is_loaded_before(tmp_path: Path) -> None:
    sources = {
        "plain": "import os, sys\n# import pandas\n",
        "numpy": "import os, numpy as np\n",
        "later": "def f():\n    from pandas import DataFrame\n",
    }
    for name, source in sources.items():
        write(tmp_path, name, source)
    folder = tmp_path / "models"
    assert imported([folder / "plain"]) == []
    assert imported([folder / "plain", folder / "numpy"]) == ["numpy", "numpy.random"]
    assert imported(folder.iterdir()) == ["numpy", "numpy.random", "pandas"]


def test_who_comes_with_another_import_has_it_loaded_from_the_next_window_on(tmp_path: Path) -> None:
    there = "    def predict(self, asset, horizon, step): return {'value': 'numpy' in sys.modules}\n"
    write(tmp_path, "a", HEAD + there)
    with LocalRunner(tmp_path / "models") as runner:
        assert one(runner)["a"].output == {"value": False}
        write(tmp_path, "b", "import numpy\n" + GOOD)
        runner.rest()
        assert (one(runner)["b"].reason, one(runner)["a"].output) == (None, {"value": False})
        runner.fresh()
        assert one(runner)["a"].output == {"value": True}
