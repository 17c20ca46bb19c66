"""Hostile models beside good ones: the good ones' answers are all there, equal and in time; nothing is reached or left.

`make hostile` runs each alone for 20 cycles, as its latencies need the machine for themselves; `make test` runs them
in groups, for a few.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator_dagster.runners import sandbox
from coordinator_dagster.runners.local import LocalRunner
from tests.hostile.beside import MARK, SECRET, Surroundings, Watched, marks, surroundings, watch
from tests.hostile.models import ENDS, MODELS, SPIES

ALONE = bool(os.environ.get("COORDINATOR_TEST_HOSTILE"))
CYCLES = 20 if ALONE else 3
GROUP = 1 if ALONE else 8
NAMES = sorted(MODELS)
ROOT = Path(__file__).parents[2]
MORE_MS, MORE_MEMORY = 20, 10_000_000

pytestmark = [pytest.mark.hostile, pytest.mark.skipif(not sandbox.find(), reason="bubblewrap is not installed")]


@pytest.fixture(scope="module")
def around(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Surroundings]:
    with pytest.MonkeyPatch.context() as patch, surroundings(tmp_path_factory.mktemp("hostile")) as found:
        patch.setenv("DATABASE_URL", f"postgresql://coordinator:{SECRET}@127.0.0.1/x")
        yield found


@pytest.fixture(scope="module")
def quiet(around: Surroundings) -> Watched:
    """The good models among themselves."""
    return watch(around, {}, 20)


def test_every_layer_is_there(around: Surroundings) -> None:
    with LocalRunner(ROOT / "examples" / "models", preload=["math"]) as runner:
        assert runner.confinement() == {}


@pytest.mark.parametrize("names", [NAMES[n : n + GROUP] for n in range(0, len(NAMES), GROUP)], ids="+".join)
def test_beside_good_models(names: list[str], around: Surroundings, quiet: Watched) -> None:
    seen = watch(around, {name: MODELS[name] for name in names}, CYCLES)
    for answers in seen.good.values():
        assert [one.status for one in answers] == ["SUCCESS"] * CYCLES
        assert [one.output for one in answers] == [{"value": n * 60} for n in range(CYCLES)]
    for name in names:
        assert len(seen.answers[name]) == CYCLES
        assert {one.status for one in seen.answers[name]} <= {"SUCCESS", "FAILED", "TIMEOUT"}
        if name in SPIES:
            assert seen.answers[name][0].output == {"value": 1.0, "reached": []}
        if name in ENDS:
            assert "SUCCESS" not in {one.status for one in seen.answers[name]} or name in ("stops_itself",)
    logs = {path: path.stat().st_size for path in (around.folder / "logs").iterdir()}
    assert max(logs.values()) <= 16 << 20
    assert not [path for path in logs if SECRET in path.read_text(errors="replace")]
    assert around.reached() == [] and marks() == [] and not list(around.folder.glob(f"{MARK}*"))
    if ALONE:
        more = (seen.slowest - quiet.slowest) * 1000
        print(f"{names[0]}: p99 {seen.slowest * 1000:.1f} ms, {more:+.1f}; memory {seen.grown / 1e6:+.1f} MB")
        assert more < MORE_MS
        assert seen.grown < MORE_MEMORY


@pytest.mark.parametrize("name", ["environment", "files", "network"])
def test_a_spy_that_is_not_confined_reaches_it(name: str, around: Surroundings, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(MODELS[name])
    ask = f"import json, main; m = main.Model(); m.tick({around.told!r}); print(json.dumps(m.predict('BTC', 60, 60)))"
    env = {"PYTHONPATH": f"{ROOT}:{tmp_path}", "X": SECRET}
    done = subprocess.run([sys.executable, "-c", ask], env=env, cwd=tmp_path, capture_output=True, check=True)
    assert json.loads(done.stdout)["reached"]
    around.reached()
