"""The local runner: what models answer, and what is known of them."""

import json
import math
import shutil
from pathlib import Path

import pytest
from local_models import CALL, GOOD, HEAD, ROOT, Make, body, one, write

from coordinator_dagster.errors import UserError, UserErrors
from coordinator_dagster.runners.base import Answer, Call
from coordinator_dagster.runners.local import LocalRunner


def test_good_models_answer_every_call_in_order(make: Make) -> None:
    runner = make(b=GOOD, a=GOOD)
    assert [m.id for m in runner.models()] == ["a", "b"]
    calls = [Call(["BTC", h, 60]) for h in (60, 300, 900)]
    for n in (1, 2):
        answers = runner.ask(b'{"n": %d}' % n, calls, 5)
        assert list(answers) == ["a", "b"]
        for got in answers.values():
            assert [a.output for a in got] == [{"value": n + h} for h in (60, 300, 900)]
            assert {a.status for a in got} == {"SUCCESS"} and {a.reason for a in got} == {None}
            assert all(0 <= (a.exec_time_ms or 0) / 1000 <= a.elapsed < 5 for a in got)
    assert runner.ask(b'{"n": 1}', [], 5) == {"a": [], "b": []}


def test_an_exception_fails_that_call_and_names_the_participants_line(make: Make) -> None:
    runner = make(bad=body("if horizon == 60: raise ValueError('no idea')\nreturn {'value': 1}"), good=GOOD)
    answers = runner.ask(b'{"n": 1}', [Call(["BTC", 60, 60]), Call(["BTC", 300, 60])], 5)
    first, second = answers["bad"]
    assert (first.status, first.reason) == ("FAILED", "ValueError: no idea (main.py:7)")
    assert second.status == "SUCCESS" and answers["good"][0].status == "SUCCESS"


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Answer]:
    """Answers of models that are odd, each in its way, and stay alive."""
    folder = tmp_path_factory.mktemp("odd")
    sources = {
        "long": body("raise ValueError('\\0\\udc80' + 'x' * 100_000)"),
        "tick": HEAD.replace("self.data = data", "raise KeyError('candles')")
        + "    def predict(self, asset, horizon, step): return {'value': 1}\n",
        "exit": body("sys.exit(3)"),
        "nan": body("return {'value': float('nan'), 'up': float('inf')}"),
        "numpy": "import numpy as np\n"
        + body("return {'value': np.float32(0.5), 'n': np.int64(3), 'l': np.arange(2)}"),
        "object": body("return {'value': object()}"),
        "environ": body("return {'value': dict(os.environ)}"),
        "files": body("return {'value': [fd for fd in range(64) if is_open(fd)]}")
        + "def is_open(fd):\n    try: return bool(os.fstat(fd))\n    except OSError: return False\n",
        "helper": "import helper\nclass Model(helper.Base): pass\n",
    }
    for name, source in sources.items():
        write(folder, name, source)
    helper = GOOD.replace("class Model", "class Base").replace("self.data['n'] + horizon", "1 / 0")
    (folder / "models" / "helper" / "helper.py").write_text(helper)
    with pytest.MonkeyPatch.context() as patch, LocalRunner(folder / "models") as runner:
        patch.setenv("DATABASE_URL", "x")
        return one(runner)


def test_an_error_is_cut_and_cannot_spoil_a_table(odd: dict[str, Answer]) -> None:
    reason = odd["long"].reason
    assert reason and len(reason) <= 500 and reason.endswith("(main.py:7)")
    assert "\0" not in reason and reason.encode()


def test_an_error_in_a_helper_names_its_line(odd: dict[str, Answer]) -> None:
    assert odd["helper"].reason == "ZeroDivisionError: division by zero (helper.py:6)"


def test_predict_is_called_although_tick_raised(odd: dict[str, Answer]) -> None:
    assert (odd["tick"].status, odd["tick"].reason) == ("SUCCESS", "tick: KeyError: 'candles' (main.py:5)")


def test_sys_exit_is_an_exception(odd: dict[str, Answer]) -> None:
    assert (odd["exit"].status, odd["exit"].reason) == ("FAILED", "SystemExit: 3 (main.py:7)")


def test_nan_and_infinity_pass_as_they_are(odd: dict[str, Answer]) -> None:
    assert math.isnan(odd["nan"].output["value"]) and odd["nan"].output["up"] == math.inf


def test_numpy_answers_are_plain_numbers(odd: dict[str, Answer]) -> None:
    assert odd["numpy"].output == {"value": 0.5, "n": 3, "l": [0, 1]}


def test_an_answer_that_is_not_json_fails(odd: dict[str, Answer]) -> None:
    assert odd["object"].status == "FAILED"
    assert odd["object"].reason == "the answer is not JSON: TypeError: a object is not JSON"


def test_the_environment_holds_no_secret(odd: dict[str, Answer]) -> None:
    seen = odd["environ"].output["value"]
    assert seen["OMP_NUM_THREADS"] == "1" and seen["HOME"] == "/nonexistent"
    assert set(seen) <= {
        "PATH", "LANG", "HOME", "PWD", "TMPDIR", "PYTHONDONTWRITEBYTECODE", "LC_CTYPE",
        "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "JE_ARROW_MALLOC_CONF",
    }  # fmt: skip


def test_a_model_holds_no_descriptor_but_its_own(odd: dict[str, Answer]) -> None:
    assert odd["files"].output["value"] == [0, 1, 2, 3]  # the last is its socket


def test_an_input_larger_than_any_buffer_arrives(make: Make) -> None:
    runner = make(a=body("return {'value': len(self.data['text'])}"), b=body("return {'value': len(self.data)}"))
    answers = runner.ask(b'{"text": "%b"}' % (b"x" * 5_000_000), [CALL], 10)
    assert answers["a"][0].output == {"value": 5_000_000} and answers["b"][0].output == {"value": 1}
    with pytest.raises(ValueError, match="16777216 are allowed"):
        runner.ask(b'"%b"' % (b"x" * (16 << 20)), [CALL], 10)


def test_keywords_the_base_class_does_not_name_are_dropped(make: Make) -> None:
    runner = make(a=HEAD + "    def predict(self, asset, horizon=1, **kw): return {'value': [horizon, kw]}\n")
    answers = runner.ask(b"{}", [Call(["BTC"], {"horizon": 60, "step": 5, "colour": "red"})], 5)
    assert answers["a"][0].output == {"value": [60, {"step": 5}]}


def test_fresh_forgets_everything(make: Make) -> None:
    source = "seen = []\n" + HEAD + "    count = 0\n"
    source += "    def predict(self, asset, horizon, step):\n        seen.append(1); self.count += 1\n"
    runner = make(a=source + "        return {'value': [len(seen), self.count]}\n")
    assert [one(runner)["a"].output["value"] for _ in range(2)] == [[1, 1], [2, 2]]
    runner.fresh()
    assert one(runner)["a"].output["value"] == [1, 1]


def test_fresh_takes_code_as_it_is_now(make: Make, tmp_path: Path) -> None:
    runner = make(a=GOOD, b=GOOD)
    old = {m.id: m.deployment for m in runner.models()}
    assert old["a"] == old["b"] and len(old["a"]) == 12
    assert one(runner)["a"].output == {"value": 60}
    write(tmp_path, "a", body("return {'value': 'new'}"))
    write(tmp_path, "c", GOOD)
    shutil.rmtree(tmp_path / "models" / "b")
    runner.fresh()
    new = {m.id: m.deployment for m in runner.models()}
    assert list(new) == ["a", "b", "c"] and new["a"] != old["a"] == new["c"]
    answers = one(runner)
    assert answers["a"].output == {"value": "new"} and answers["c"].status == "SUCCESS"
    assert (answers["b"].status, answers["b"].reason) == ("ABSENT", "its folder has gone")


def test_model_toml_and_faulty_folders(make: Make, tmp_path: Path) -> None:
    runner = make(a=GOOD, b=GOOD)
    (tmp_path / "models" / "a" / "model.toml").write_text('name = "Alpha"\nplayer_id = "p1"\n')
    runner.fresh()
    a, b = runner.models()
    assert (a.name, a.player_id, a.player_name) == ("Alpha", "p1", "p1")
    assert (b.name, b.player_id, b.player_name) == ("b", "b", "b")
    (tmp_path / "models" / "a" / "model.toml").write_text('colour = "red"\n')
    (tmp_path / "models" / "Bad Name").mkdir()
    (tmp_path / "models" / "empty").mkdir()
    with pytest.raises(UserErrors) as caught:
        LocalRunner(tmp_path / "models")
    assert len(caught.value.faults) == 4  # one has a bad name and no main.py
    for word in ("colour", "Bad Name: rename", "Bad Name: it has no main.py", "empty: it has no main.py"):
        assert word in str(caught.value)


def test_a_wrong_base_class_is_the_operators_error(tmp_path: Path) -> None:
    write(tmp_path, "a", GOOD)
    for base in ("slots.tracker:Nobody", "no_such_module:X", "slots.tracker"):
        with (
            LocalRunner(tmp_path / "models", base_class=base) as runner,
            pytest.raises(Exception, match="BASE_CLASS"),
        ):
            runner.fresh()


def test_what_is_preloaded_is_there_and_no_two_models_draw_the_same_numbers(tmp_path: Path) -> None:
    for name in "ab":
        write(tmp_path, name, body("there = sys.modules['numpy']\nreturn {'value': float(there.random.random())}"))
    with LocalRunner(tmp_path / "models", preload=["numpy", "numpy.random"]) as runner:
        answers = one(runner)
        assert answers["a"].status == answers["b"].status == "SUCCESS"
        assert answers["a"].output != answers["b"].output


def test_a_module_that_cannot_be_preloaded_is_the_operators_error(tmp_path: Path) -> None:
    write(tmp_path, "a", GOOD)
    with (
        LocalRunner(tmp_path / "models", preload=["math", "no_such"]) as runner,
        pytest.raises(UserError, match="MODEL_PRELOAD: no_such cannot be loaded: ModuleNotFoundError"),
    ):
        runner.fresh()


def test_the_example_models_forecast() -> None:
    def data(closes: list[float]) -> bytes:
        names = ("open", "high", "low", "close")
        return json.dumps(
            {"candles_1m": [{"ts": i, **dict.fromkeys(names, c), "volume": 1.0} for i, c in enumerate(closes)]}
        ).encode()

    def values(closes: list[float]) -> dict[str, float]:
        return {m: a[0].output["value"] for m, a in runner.ask(data(closes), [CALL], 5).items()}

    with LocalRunner(ROOT / "examples" / "models") as runner:
        assert (
            values([])
            == values([100.0])
            == dict.fromkeys(("mean_reversion", "trend_following", "volatility_regime"), 0.0)
        )
        rising = values([100 * 1.0005**i for i in range(120)])
        assert rising["mean_reversion"] < 0 < rising["trend_following"] < 0.002
        assert rising["volatility_regime"] > 0  # calm: it goes on
        shock = values([100 + (i % 2) * 0.01 for i in range(110)] + [100 + i for i in range(10)])
        assert shock["volatility_regime"] < 0  # wild: it is overdone
        wild = values([1e-9, 1e9] * 60)
        assert all(math.isfinite(v) and abs(v) <= 0.002 for v in wild.values())
