"""What the folder of a code location says over its pack: slots and schedule.

Strongest first: for the slots the process environment and `.local.env`, then for both `config/callables.env` and
`config/scheduled_prediction_configs.json`, `spec.json`, and the pack.
"""

import json
import os
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from coordinator_dagster.errors import UserErrors
from coordinator_dagster.faults import nearest
from slots.contracts import SLOT_NAMES
from slots.loader import SlotPath

SPEC, CALLABLES, CONFIGS = "spec.json", "config/callables.env", "config/scheduled_prediction_configs.json"


def read_overrides(home: Path) -> tuple[dict[str, Any], str]:
    """The fields of the pack that the folder's files replace, and which files these are, in words."""
    found, files = read_spec(home), []
    if found:
        files.append(SPEC)
    if named := _callables(home):
        found["callables"] = {**found.get("callables", {}), **named}
        files.append(CALLABLES)
    path = home / CONFIGS
    if path.is_file():
        found["scheduled_prediction_configs"] = _read_json(path, list)
        files.append(CONFIGS)
    return found, ", ".join(files)


def read_spec(home: Path) -> dict[str, Any]:
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


def slot_paths(home: Path, pack_id: str, callables: dict[str, str]) -> dict[str, SlotPath]:
    """Each slot's path from the strongest source that names it; `callables` are the pack's."""
    sources = [
        ("environment", os.environ),
        (".local.env", dotenv_values(home / ".local.env")),
        (CALLABLES, _callables(home)),
        (SPEC, read_spec(home).get("callables", {})),
        (f"pack {pack_id}", callables),
    ]
    found = {}
    for slot in SLOT_NAMES:
        source, values = next((name, values) for name, values in sources if values.get(slot))
        found[slot] = SlotPath(slot, values[slot], source)
    return found
