"""The models that the local runner knows, and what their folders say of them now."""

import logging
from pathlib import Path

from coordinator_dagster.errors import UserError, UserErrors
from coordinator_dagster.runners.answers import clean
from coordinator_dagster.runners.folders import ModelFolders
from coordinator_dagster.runners.processes import Model

log = logging.getLogger(__name__)


class Roster:
    """The models by id, ordered; who was known once stays known. `faults`: what is wrong with folders, in words."""

    def __init__(self, models_dir: Path, tolerant: bool) -> None:
        """UserErrors with all that is wrong, unless it is `tolerant`; UserError where there is no `models_dir`."""
        self._folders = ModelFolders(models_dir)
        self.models: dict[str, Model] = {}
        self.faults: list[str] = []
        self._unstarted: set[Model] = set()  # kept from it by their folders
        self._folders.look()
        if self._folders.faults and not tolerant:
            raise UserErrors(self._folders.faults)
        self.look()

    @property
    def held_back(self) -> list[Model]:
        """Who was not started because its folder had just changed, and may be now."""
        return [one for one in self._unstarted if one.again]

    def look(self) -> list[Model]:
        """Look at all folders. Whom to start or end: who is new, changed, back or gone. UserError without folders.

        A model whose folder is broken or being written is none of them; the log says so once.
        """
        found = self._folders.look()
        self.note(self._folders.faults)
        here = {id_: one.info for id_, one in found.items() if one.info}
        new = {id_: Model(info, self._folders.at(id_)) for id_, info in here.items() if id_ not in self.models}
        every = sorted({**self.models, **new}.items())
        self.models.clear()
        self.models.update(every)  # in its place: the runner holds it
        return [
            one
            for id_, one in every
            if (id_ in here and (id_ in new or one.info != here[id_] or one in self._unstarted))
            or (id_ not in found and one.process)
        ]

    def note(self, faults: list[str]) -> None:
        """Say what is wrong, each fault once while it lasts."""
        for fault in faults:
            if fault not in self.faults:
                log.warning("%s", fault)
        self.faults = faults

    def may_start(self, one: Model, changed: bool) -> bool:
        """Take the model for what its folder is now, if a `changed` one may be; else say why it cannot start."""
        self._unstarted.add(one)
        try:
            here = self._folders.look_at(one.info.id)
        except UserError as fault:  # no fault of the model
            one.status, one.reason, one.again = "PLATFORM_FAULT", clean(fault), True
            return False
        if here.faults:
            one.status, one.reason = "FAILED", clean(f"could not start: {here.faults[0]}")
        elif here.info is None:
            one.status, one.reason = "ABSENT", "its folder has gone"
        elif here.info != one.info and not changed:
            one.status, one.reason, one.again = "PLATFORM_FAULT", "its folder has just changed", True
        else:
            self._unstarted.discard(one)
            one.info, one.folder = here.info, self._folders.at(one.info.id)  # MODELS_DIR may be a link that moves
            return True
        return False
