"""What the folder of a code location says over its pack: slots and schedule.

Strongest first: for the slots the process environment and `.local.env`, then for both `config/callables.env` and
`config/scheduled_prediction_configs.json`, `spec.json`, and the pack.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from coordinator_dagster.errors import UserErrors
from coordinator_dagster.faults import nearest
from slots.contracts import SLOT_NAMES
from slots.loader import SlotPath

SPEC, CALLABLES, CONFIGS = "spec.json", "config/callables.env", "config/scheduled_prediction_configs.json"


@dataclass(frozen=True)
class Overrides:
    """The `fields` of the pack that the folder's files replace, and which `files` these are.

    `slots`: the paths that each of these files names, the strongest file first.
    """

    fields: dict[str, Any]
    files: list[str]
    slots: list[tuple[str, dict[str, str]]]


def read_overrides(home: Path) -> Overrides:
    """UserErrors for a file that is not what it must be."""
    spec, named = _spec(home), _callables(home)
    fields, files = dict(spec), [SPEC] if spec else []
    if named:
        fields["callables"] = {**spec.get("callables", {}), **named}
        files.append(CALLABLES)
    path = home / CONFIGS
    if path.is_file():
        fields["scheduled_prediction_configs"] = _read_json(path, list)
        files.append(CONFIGS)
    return Overrides(fields, files, [(CALLABLES, named), (SPEC, spec.get("callables", {}))])


def _spec(home: Path) -> dict[str, Any]:
    """What `spec.json` overrides in the pack: `callables` and `scheduled_prediction_configs`."""
    path = home / SPEC
    if not path.is_file():
        return {}
    spec: dict[str, Any] = _read_json(path, dict)
    allowed = {"callables", "scheduled_prediction_configs"}
    if unknown := sorted(set(spec) - allowed):
        raise UserErrors([f"{path}: {unknown}: must be an object with {' or '.join(sorted(allowed))} only; mend it"])
    return spec


def _read_json(path: Path, kind: type) -> Any:
    try:
        found = json.loads(path.read_text())
    except ValueError as error:
        raise UserErrors([f"{path}: not JSON: {error}; mend the file"]) from None
    if not isinstance(found, kind):
        wanted = "an object" if kind is dict else "a list"
        raise UserErrors([f"{path}: must be {wanted}, found {type(found).__name__}; mend it"])
    return found


def _callables(home: Path) -> dict[str, str]:
    """The slots that `config/callables.env` names; UserErrors for what is no slot."""
    file = home / CALLABLES
    named = dotenv_values(file)
    unknown = sorted(set(named) - set(SLOT_NAMES))
    if unknown:
        raise UserErrors(
            [
                f"{file}: {name}={named[name] or ''}: {name} is no slot{nearest(name, SLOT_NAMES)}; "
                f"rename or remove it; the slots are {', '.join(SLOT_NAMES)}"
                for name in unknown
            ]
        )
    return {name: path for name, path in named.items() if path}


def slot_paths(home: Path, overrides: Overrides, pack_id: str, callables: dict[str, str]) -> dict[str, SlotPath]:
    """Each slot's path from the strongest source that names it; `callables` are the pack's."""
    sources: list[tuple[str, Mapping[str, Any]]] = [
        ("environment", os.environ),
        (".local.env", dotenv_values(home / ".local.env")),
        *overrides.slots,
        (f"pack {pack_id}", callables),
    ]
    found = {}
    for slot in SLOT_NAMES:
        source, values = next((name, values) for name, values in sources if values.get(slot))
        found[slot] = SlotPath(slot, values[slot], source)
    return found
