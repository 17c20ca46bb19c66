"""Which version of everything a live run is: its code, the competition's settings, pack and slots."""

import hashlib
import importlib.metadata
import json
from functools import cache
from pathlib import Path

from pydantic import SecretStr

import packs
import slots
from coordinator_dagster.competition import Competition

TAG = "coordinator/release"  # of a live run
PACKAGES = (Path(__file__).parent, Path(slots.__file__).parent, Path(packs.__file__).parent)
SOURCES = {".py", ".sql", ".json"}


def release_of(competition: Competition) -> str:
    """Twelve hex digits, other ones where anything has changed, secrets too; SlotErrors when a slot does not load."""
    content = {
        "code": _code(),
        "settings": {name: _plain(value) for name, value in competition.settings},
        "pack": competition.pack.model_dump(mode="json"),
        "slots": {name: [slot.at.path, slot.digest] for name, slot in competition.slots().items()},
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:12]


def _plain(value: object) -> object:
    return _hidden(value.get_secret_value()) if isinstance(value, SecretStr) else value


@cache
def _hidden(secret: str) -> str:
    """Slow to compute: a release is shown, and nobody shall find a short secret by trying."""
    return hashlib.scrypt(secret.encode(), salt=b"release", n=2**14, r=8, p=1).hex()


def version() -> str:
    """Of the coordinator that is installed."""
    return importlib.metadata.version("coordinator-dagster")


@cache
def _code() -> str:
    """As it is when it is first asked for: what is edited later does not run in this process."""
    digest = hashlib.sha256()
    for folder in PACKAGES:
        for file in sorted(folder.rglob("*")):
            if file.suffix in SOURCES:
                digest.update(f"{file.relative_to(folder.parent)}\0".encode() + file.read_bytes())
    return digest.hexdigest()
