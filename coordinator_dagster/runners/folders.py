"""Where the local runner finds its models: one sub-folder each, read again only when something in it has changed."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from coordinator_dagster.errors import UserError, UserErrors
from coordinator_dagster.runners.base import ModelInfo
from coordinator_dagster.runners.submission import Entry, plain, read_submission, walk

# A file system's clock may stand still for some milliseconds: what is younger may change and look the same.
SETTLED_NS = 100_000_000
TRIES = 3


@dataclass(frozen=True)
class Found:
    """A folder as it was last read: the model in it, or what is wrong; neither when it has gone."""

    info: ModelInfo | None = None
    faults: tuple[str, ...] = ()
    signature: Sequence[Entry] = ()  # as long as this is the same, so is the rest


def discover(models_dir: Path) -> tuple[dict[str, tuple[ModelInfo, Path]], list[str]]:
    """The models in `models_dir` by id (info, folder), and what is wrong with the other folders, in words."""
    folders = ModelFolders(models_dir)
    try:
        found = folders.look()
    except UserError as fault:
        return {}, [str(fault)]
    return {id_: (one.info, folders.at(id_)) for id_, one in found.items() if one.info}, folders.faults


class ModelFolders:
    """The sub-folders of `models_dir`, looked at again and again: only what has changed is read.

    `faults` is what is wrong with them, in words.
    """

    def __init__(self, models_dir: Path) -> None:
        self.faults: list[str] = []
        self._models_dir, self._root = models_dir, models_dir.resolve()
        self._known: dict[str, Found] = {}

    def at(self, name: str) -> Path:
        """Where a model's folder is."""
        return self._root / name

    def look(self) -> dict[str, Found]:
        """Every folder by name, ordered, but for hidden ones. UserError when they cannot be listed."""
        try:
            self._root = self._models_dir.resolve()
            with os.scandir(self._root) as entries:
                names = [one.name for one in entries if one.is_dir()]
        except OSError as fault:
            raise self._lost(fault.strerror) from None
        chosen = [name for name in sorted(names) if not name.startswith(".") and name != "__pycache__"]
        found = {name: self.look_at(name) for name in chosen}
        self._known = found = {name: one for name, one in found.items() if one.info or one.faults}
        self.faults = [fault for one in found.values() for fault in one.faults]
        return found

    def look_at(self, name: str) -> Found:
        """One folder; UserError when all of them have gone."""
        folder = self.at(name)
        for _ in range(TRIES):
            try:
                signature = walk(folder)
                known = self._known.get(name)
                if known and known.signature == signature:
                    return known
                found = _read(folder, signature)
                if walk(folder) != signature:
                    continue
            except OSError as fault:
                if not self._root.is_dir():
                    raise self._lost(fault.strerror) from None
                if not os.path.lexists(folder):
                    return Found()
                found = Found(faults=(f"{plain(folder)}: cannot be read: {fault.strerror}; mend it",))
            self._known[name] = found
            return found
        return Found(faults=(f"{plain(folder)}: is being written; it counts once that is over",))

    def _lost(self, why: str | None) -> UserError:
        return UserError(f"{self._models_dir}: there is no such folder of models ({why}); mend MODELS_DIR")


def _read(folder: Path, signature: Sequence[Entry]) -> Found:
    settled = time.time_ns() - max(one.changed for one in signature) > SETTLED_NS
    kept = signature if settled else ()
    try:
        return Found(read_submission(folder, signature), (), kept)
    except UserErrors as told:
        return Found(None, tuple(told.faults), kept)
