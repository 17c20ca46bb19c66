"""The reference of the slots as a page, made of the contracts themselves: `coordinator slots --markdown`."""

import inspect
import re
from collections.abc import Callable, Iterator
from textwrap import dedent
from typing import Any

from slots import defaults, views
from slots.contracts import CONTRACTS, Contract
from slots.market import MarketRecord
from slots.tape import Tape

ASSETS = {  # which asset calls it
    "RAW_INPUT_PROVIDER": "inference_inputs",
    "INFERENCE_INPUT_BUILDER": "inference_inputs",
    "PREDICTION_SCOPE_BUILDER": "predictions",
    "PREDICT_CALL_BUILDER": "predictions",
    "INFERENCE_OUTPUT_VALIDATOR": "predictions",
    "GROUND_TRUTH_RESOLVER": "ground_truths",
    "SCORING_FUNCTION": "scores",
    "MODEL_SCORE_AGGREGATOR": "model_scores",
    "LEADERBOARD_RANKER": "leaderboard",
    "REPORT_SCHEMA_PROVIDER": "report_schema",
}
HIDDEN = {"read_input"}  # how it is made, not what it says
GIVEN = (Tape, MarketRecord, views.CyclePrediction, views.ScoredPrediction, views.Score, views.ModelView, views.Rollup)
INTRODUCTION = """# The ten slots

<!-- Made by `coordinator slots --markdown` of slots/contracts.py: edit that. -->

A slot is a plain function, named by `module:function` in the environment, `config/callables.env`, `spec.json` or the
pack; the first of these that names it counts. It names the arguments it wants, by the names below, and may leave out
any of them; a parameter with a default that is not below is left alone. `coordinator slots` says which function each is
here and who said so, `coordinator validate` loads all ten and puts a sample cycle through them.

All times are UTC. What a slot returns is JSON of finite numbers; what is not is refused, naming slot and place.
"""


def markdown() -> str:
    """The whole page."""
    parts = [INTRODUCTION, *map(_slot, CONTRACTS.values()), "## What they are given\n", *map(_given, GIVEN)]
    return "\n".join(parts)


def contract_text(contract: Contract) -> str:
    """The contract of one slot for a terminal: its signature, then what it is for."""
    return f"{_signature(contract.spec)}\n\n{inspect.getdoc(contract.spec)}"


def _slot(contract: Contract) -> str:
    own = contract.spec.__name__
    default = f"`slots.defaults:{own}`" if hasattr(defaults, own) else "none"
    head = f"## {contract.name}\n\nCalled by the asset `{ASSETS[contract.name]}`; default {default}.\n"
    return f"{head}\n```python\n{_signature(contract.spec)}\n```\n\n{_prose(inspect.getdoc(contract.spec) or '')}\n"


def _signature(function: Callable[..., Any]) -> str:
    """As it stands in its file, without decorator and body."""
    source = dedent(inspect.getsource(function))
    found = re.search(r"def .*?\) -> .*?:\n", source, re.DOTALL)
    assert found, function
    return re.sub(r"\bself,? ?", "", found[0].strip().removesuffix(":"))


def _prose(text: str) -> str:
    """A docstring as Markdown: its examples and what is indented become blocks."""
    return "\n\n".join(_paragraph(one) for one in text.split("\n\n"))


def _paragraph(text: str) -> str:
    if text.startswith(">>>"):
        return f"```python\n{text}\n```"
    return f"```python\n{dedent(text)}\n```" if text.startswith("    ") else text


def _given(kind: type) -> str:
    lines = [f"### {kind.__name__}\n", _prose(inspect.getdoc(kind) or ""), ""]
    fields = {name: annotation for name, annotation in inspect.get_annotations(kind).items() if name not in HIDDEN}
    if kind is not Tape:  # its own fields are how it is made
        lines += ["| attribute | type |", "|---|---|"]
        lines += [f"| `{name}` | `{_type(annotation)}` |" for name, annotation in fields.items()]
        lines.append("")
    lines += [f"- `{name}`: {said}" for name, said in _methods(kind)]
    return "\n".join(lines).rstrip() + "\n"


def _methods(kind: type) -> Iterator[tuple[str, str]]:
    """Public methods and properties, with what they say."""
    for name, member in vars(kind).items():
        function = getattr(member, "fget", None) or getattr(member, "func", None) or member
        if name.startswith("_") or not inspect.isfunction(function) or not function.__doc__:
            continue
        plain = inspect.isfunction(member)
        shown = re.sub(r"\s+", " ", _signature(function)).removeprefix("def ") if plain else name
        yield (
            re.sub(r"\( | \)", lambda found: found[0].strip(), shown),
            " ".join((inspect.getdoc(function) or "").split()),
        )


def _type(annotation: Any) -> str:
    shown = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    return shown.replace("collections.abc.", "").replace("typing.", "").replace("|", "\\|")
