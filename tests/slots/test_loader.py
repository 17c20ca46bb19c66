"""A slot is found, checked and bound by what its path, its module and its signature say."""

import importlib
import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from slots.contracts import CONTRACTS
from slots.loader import Slot, SlotErrors, SlotFailure, SlotPath, load_slots

Load = Callable[..., Slot]
NUMBERS = itertools.count()
GIVEN = {"prediction": {"value": 1.0}, "ground_truth": {"return": 0.25}, "scope": {"asset": "BTC"}}


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    """Loads `name` (or a whole path) out of a module with that body, as one slot."""
    known = set(sys.modules)

    def from_body(body: str = "", name: str = "slot", slot: str = "SCORING_FUNCTION", path: str = "") -> Slot:
        module = f"loaded_{next(NUMBERS)}"
        (tmp_path / f"{module}.py").write_text(body)
        importlib.invalidate_caches()
        at = SlotPath(slot, path or f"{module}:{name}", "config/callables.env")
        return load_slots({slot: at}, [slot], tmp_path)[slot]

    yield from_body
    sys.path.remove(str(tmp_path))
    for name in set(sys.modules) - known:
        if name.startswith("loaded_"):
            del sys.modules[name]


@pytest.mark.parametrize(
    ("body", "path", "found"),
    [
        ("", "no_such_thing_at_all:score", "there is no module 'no_such_thing_at_all'; check the spelling, write"),
        ("", "slots.default:score_prediction", r"no module 'slots.default' \(nearest: slots.defaults\); check"),
        ("", "slot.defaults:score_prediction", r"no module 'slot' \(nearest: slots\)"),
        ("", "slots.defaults.score:prediction", "there is no module 'slots.defaults.score'"),
        (
            "x = 1\nraise RuntimeError('out of beer')",
            "",
            r"raised RuntimeError: out of beer \(loaded_.*py:2\).* mend it",
        ),
        ("raise SystemExit(3)", "", "raised SystemExit: 3 .* mend it"),
        ("def slot(:", "", r"raised SyntaxError: .*loaded_\d+\.py, line 1.* mend it"),
        (
            "import no_such_dependency",
            "",
            r"No module named 'no_such_dependency' \(loaded_.*:1\).* or install no_such_d",
        ),
        ("def scorer(prediction): ...", ":score", r"has no 'score' \(nearest: scorer\); define it there"),
        ("slots = 3\ndef slot_two(): ...", ":slots", r"slots is a int, not a function \(nearest: slot_two\); name a"),
        ("async def slot(prediction): ...", "", "slot is async; slots are plain functions: remove async"),
        ("async def slot(prediction): yield", "", "slot is async"),
        ("class S:\n async def __call__(self): ...\nslot = S()", "", "slot is async; .* remove async"),
        (
            "def slot(predictions): ...",
            "",
            r"wants an argument 'predictions', .*nearest: prediction\); use some of: pre",
        ),
        ("def slot(*, qqq): ...", "", r"'qqq', which is not on offer; use some of: prediction, ground_truth, scope"),
        ("slot = max", "", "its arguments cannot be told; wrap it in a plain function"),
    ],
)
def test_each_load_failure_says_what_was_found_and_the_remedy(load: Load, body: str, path: str, found: str) -> None:
    given = {"name": path[1:]} if path.startswith(":") else {"path": path}
    with pytest.raises(SlotErrors, match=found) as caught:
        load(body, **given)
    assert str(caught.value).startswith("SCORING_FUNCTION=")
    assert " (from config/callables.env): " in str(caught.value)
    assert (path or ":slot (from") in str(caught.value)
    assert "frozen" not in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "path", ["slots.defaults", "slots.defaults:", ":f", "", "a:b:c", "slots/defaults.py:f", ".defaults:f", "a..b:f"]
)
def test_a_malformed_path_is_shown_a_good_one(load: Load, tmp_path: Path, path: str) -> None:
    load("def slot(): ...")
    with pytest.raises(SlotErrors, match=r"not of the form module:function; write it so, such as slots.defaults:"):
        load_slots({"SCORING_FUNCTION": SlotPath("SCORING_FUNCTION", path, "x")}, ["SCORING_FUNCTION"], tmp_path)


def test_all_faults_are_reported_at_once(load: Load, tmp_path: Path) -> None:
    load("def slot(): ...")
    paths = {name: SlotPath(name, f"slots.nowhere:{name}", "environment") for name in CONTRACTS}
    with pytest.raises(SlotErrors) as caught:
        load_slots(paths, CONTRACTS, tmp_path)
    assert [fault.split("=")[0] for fault in caught.value.faults] == list(CONTRACTS)


@pytest.mark.parametrize(
    ("body", "result"),
    [
        ("def slot(prediction, ground_truth): return prediction['value'] - ground_truth['return']", 0.75),
        ("def slot(ground_truth, scope, prediction): return ground_truth, scope, prediction", tuple),
        ("def slot(prediction, scale=3): return prediction['value'] * scale", 3.0),
        ("def slot(prediction, *, scale=3, scope): return scale, scope['asset']", (3, "BTC")),
        ("def slot(ground_truth, prediction, /): return ground_truth['return'], prediction['value']", (0.25, 1.0)),
        ("def slot(ground_truth, /, prediction, *, scope): return len(scope) + prediction['value']", 2.0),
        ("def slot(prediction, **others): return sorted(others)", []),
        ("def slot(*others, prediction): return len(others)", 0),
        ("class S:\n def __call__(self, scope): return scope['asset']\nslot = S()", "BTC"),
        ("class S:\n def score(self, scope): return scope['asset']\nslot = S().score", "BTC"),
        (
            "import functools\ndef f(x, prediction): return x, prediction['value']\nslot = functools.partial(f, 7)",
            (7, 1.0),
        ),
        ("import functools\ndef f(scope, x): return x\nslot = functools.partial(f, x=7)", 7),
        ("slot = lambda: 5", 5),
    ],
)
def test_a_slot_is_given_what_it_names_and_no_more(load: Load, body: str, result: Any) -> None:
    found = load(body)(**GIVEN)
    assert (
        (found == (GIVEN["ground_truth"], GIVEN["scope"], GIVEN["prediction"])) if result is tuple else found == result
    )


def test_what_a_slot_raises_names_slot_path_source_and_line(load: Load) -> None:
    for error in ("KeyError('x')", "SystemExit(1)"):
        slot = load(f"def slot(prediction):\n    raise {error}")
        with pytest.raises(
            SlotFailure, match=r"^SCORING_FUNCTION=loaded_\d+:slot \(from config/.*env\): .* \(loaded_.*:2\)"
        ):
            slot(**GIVEN)


def test_the_digest_is_that_of_the_source_that_was_loaded(load: Load, tmp_path: Path) -> None:
    body = "def slot(prediction): return 1"
    first, same, other = load(body), load(body), load(body + "0")
    assert first.digest == same.digest != other.digest

    module = first.at.path.partition(":")[0]
    (tmp_path / f"{module}.py").write_text(body + "0000")
    again = load(path=first.at.path)
    assert (again(**GIVEN), again.digest) == (1, first.digest), "edited later: this process runs the old source"
    del sys.modules[module]
    fresh = load(path=first.at.path)
    assert fresh(**GIVEN) == 10000
    assert fresh.digest != first.digest


def test_the_digest_covers_the_naming_and_the_defining_module(load: Load, tmp_path: Path) -> None:
    partial = "import functools\ndef f(x, prediction): return x\nslot = functools.partial(f, {})"
    assert load(partial.format(1)).digest != load(partial.format(2)).digest
    digests = set()
    for body in ("def slot(): return 1", "def slot(): return 22"):
        (tmp_path / "loaded_elsewhere.py").write_text(body)
        sys.modules.pop("loaded_elsewhere", None)
        digests |= {load(f"from loaded_elsewhere import slot{tail}").digest for tail in ("", "  # 2")}
    assert len(digests) == 4
