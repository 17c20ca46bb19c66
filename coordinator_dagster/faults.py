"""What is wrong with a pack or a setting, a line a fault: file, field, value, remedy."""

import difflib
from collections.abc import Iterable
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError

Fault = tuple[tuple[str | int, ...], Any, str]


def refuse(faults: list[Fault]) -> None:
    """Raise all of them at once: each with its place, the value there, what is wrong and the remedy."""
    if faults:
        raise PydanticCustomError("faults", "{count} faults", {"count": len(faults), "faults": faults})


def pydantic_faults(where: str, error: ValidationError, model: type[BaseModel]) -> list[str]:
    """A line a fault: file, field, value, what is wrong, and the nearest field for an unknown one."""
    faults = []
    for item in error.errors():
        if item["type"] == "faults":
            for place, found, wrong in item["ctx"]["faults"]:
                value = "" if found is None else f" = {found!r:.80}"
                faults.append(f"{where}: {_dotted(item['loc'] + place)}{value}: {wrong}")
            continue
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            near = nearest(str(item["loc"][-1]), _fields_at(model, item["loc"][:-1]))
            message = f"unknown field{near}; rename or remove it"
        elif item["type"] == "missing":
            message = "missing; add it"
        elif item["type"] == "finite_number":
            message = "not a finite number; write one"
        whole = item["type"] in ("missing", "value_error") and isinstance(item["input"], dict)
        value = "" if whole else f" = {item['input']!r:.80}"
        faults.append(f"{where}: {_dotted(item['loc'])}{value}: {message}")
    return faults


def _dotted(place: tuple[str | int, ...]) -> str:
    return ".".join(map(str, place)) or "(whole)"


def _fields_at(model: Any, place: tuple[str | int, ...]) -> list[str]:
    """The fields of the object at that place in a model."""
    for part in place:
        if isinstance(part, str):
            model = model.model_fields[part].annotation
        while not hasattr(model, "model_fields"):
            model = next(one for one in get_args(model) if get_args(one) or hasattr(one, "model_fields"))
    return list(model.model_fields)


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that was perhaps meant, for the end of a sentence; empty when none is near."""
    found = difflib.get_close_matches(name, list(known), 1, 0.5)
    return f" (did you mean {found[0]}?)" if found else ""
