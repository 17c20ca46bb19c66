"""Finds the slots, checks what they ask for, and binds each to the arguments it named."""

import difflib
import functools
import hashlib
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slots.contracts import CONTRACTS, Contract
from slots.tape import TapeAway


@dataclass(frozen=True)
class SlotPath:
    """Where a slot's implementation is (`module:function`), and who said so."""

    slot: str
    path: str
    source: str

    def __str__(self) -> str:
        return f"{self.slot}={self.path} (from {self.source})"


class SlotErrors(Exception):
    """Every slot that could not be loaded: slot, path, where the path came from, what was found, remedy."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = list(faults)
        super().__init__("\n".join(self.faults))

    def __reduce__(self) -> tuple[Any, ...]:  # for another process
        return SlotErrors, (self.faults,)


class SlotFailure(Exception):
    """A slot raised, or returned what its contract does not allow."""


@dataclass(frozen=True)
class Slot:
    """A loaded slot. Call it with everything on offer, by name: it is given what it asked for."""

    at: SlotPath
    function: Callable[..., Any]
    wants: tuple[str, ...]
    positional: tuple[str, ...]
    digest: str
    """A hash of the source it was loaded from: the module its path names, and the one it is defined in."""

    def __call__(self, **offered: Any) -> Any:
        """What the slot returns; SlotFailure, naming slot, path and line, when it raises, but for TapeAway."""
        try:
            return self.function(
                *(offered[name] for name in self.positional), **{name: offered[name] for name in self.wants}
            )
        except TapeAway:
            raise
        except (Exception, SystemExit) as error:
            raise SlotFailure(f"{self.at}: {describe(error)}") from error

    def asks_for(self, name: str) -> bool:
        return name in self.wants or name in self.positional


def describe(error: BaseException) -> str:
    """The error with the line where it was raised, on one line."""
    frames = [one for one in traceback.extract_tb(error.__traceback__) if not one.filename.startswith("<frozen")]
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{where}".replace("\n", " ")


def load_slots(paths: Mapping[str, SlotPath], names: Iterable[str], home: Path) -> dict[str, Slot]:
    """The named slots, loaded; SlotErrors with all faults at once. Modules are found from `home` too."""
    if str(home) not in sys.path:
        sys.path.insert(0, str(home))
    loaded, faults = {}, []
    for name in names:
        try:
            loaded[name] = _load(paths[name], CONTRACTS[name])
        except LookupError as fault:
            faults.append(f"{paths[name]}: {fault.args[0]}")
    if faults:
        raise SlotErrors(faults)
    return loaded


def _load(at: SlotPath, contract: Contract) -> Slot:
    module_name, colon, attribute = at.path.partition(":")
    if not (colon and all(module_name.split(".")) and attribute) or "/" in at.path or ":" in attribute:
        raise LookupError("not of the form module:function; write it so, such as slots.defaults:build_input")
    module = _module(module_name)
    function = _attribute(module, module_name, attribute)
    if not callable(function):
        known = [name for name, value in vars(module).items() if inspect.isfunction(value)]
        raise LookupError(
            f"{attribute} is a {type(function).__name__}, not a function{_near(attribute, known)}; name a function"
        )
    called = getattr(function, "__call__", None)  # noqa: B004 - an object may have an async __call__
    if any(is_async(one) for one in (function, called) for is_async in _ASYNC):
        raise LookupError(f"{attribute} is async; slots are plain functions: remove async")
    wants, positional = _arguments(function, contract)
    return Slot(at, function, wants, positional, _digest(module, function))


_ASYNC = (inspect.iscoroutinefunction, inspect.isasyncgenfunction)


def _digest(module: Any, function: Callable[..., Any]) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    sources = {_source(one) for one in (module, inspect.getmodule(function)) if one}
    return hashlib.sha256("\0".join(sorted(sources)).encode()).hexdigest()


@functools.cache
def _source(module: Any) -> str:
    """The module's source when it was loaded: what is edited later does not run in this process."""
    try:
        return inspect.getsource(module)
    except (OSError, TypeError):
        return module.__name__


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            raise LookupError(
                f"there is no module {error.name!r}{_near(error.name, _modules_beside(error.name))}; "
                "check the spelling, write the module, or install the package it is in"
            ) from None
        raise LookupError(
            f"module {name} raised {describe(error)} when imported; mend it, or install {error.name}"
        ) from None
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        raise LookupError(f"module {name} raised {describe(error)} when imported; mend it") from None


def _modules_beside(name: str) -> list[str]:
    """Modules in the folder where the missing one should be; at top level, in the folders of sys.path."""
    parent, _, _ = name.rpartition(".")
    folders = getattr(sys.modules.get(parent), "__path__", []) if parent else sys.path[:3]
    found = {path.stem for folder in folders for path in Path(folder or ".").glob("*.py")}
    found |= {path.parent.name for folder in folders for path in Path(folder or ".").glob("*/__init__.py")}
    if not parent:
        found |= {name for name in sys.modules if "." not in name}
    return [f"{parent}.{one}".lstrip(".") for one in sorted(found)]


def _attribute(module: Any, module_name: str, attribute: str) -> Any:
    try:
        return getattr(module, attribute)
    except AttributeError:
        known = [one for one in vars(module) if not one.startswith("_")]
        raise LookupError(
            f"module {module_name} has no {attribute!r}{_near(attribute, known)}; define it there"
        ) from None


def _arguments(function: Callable[..., Any], contract: Contract) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names to pass by keyword and, in order, those to pass by position."""
    by_name: list[str] = []
    by_position: list[str] = []
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        raise LookupError("its arguments cannot be told; wrap it in a plain function") from None
    for parameter in signature.parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.name in contract.arguments:
            kind = by_position if parameter.kind is parameter.POSITIONAL_ONLY else by_name
            kind.append(parameter.name)
        elif parameter.default is parameter.empty:
            raise LookupError(
                f"it wants an argument {parameter.name!r}, which is not on offer"
                f"{_near(parameter.name, contract.arguments)}; use some of: {', '.join(contract.arguments)}"
            )
    return tuple(by_name), tuple(by_position)


def _near(name: str, known: Iterable[str]) -> str:
    found = difflib.get_close_matches(name, list(known), 1, 0.5)
    return f" (nearest: {found[0]})" if found else ""
