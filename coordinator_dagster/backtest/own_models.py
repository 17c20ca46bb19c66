"""The runner of a backtest: a participant's own models, in this very process. His own code is trusted."""

import importlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from coordinator_dagster.backtest.own_model import OwnModel
from coordinator_dagster.errors import UserError, UserErrors
from coordinator_dagster.runners.answers import request
from coordinator_dagster.runners.base import Answer, Call, ModelInfo
from coordinator_dagster.runners.folders import discover
from coordinator_dagster.runners.submission import SLUG, SLUG_RULE, plain, read_submission, walk

Models = Path | Mapping[str, type | Path]


class OwnModels:
    """A `Runner` that judges answers as the local one does, but confines nobody and asks one model after the other.

    Nothing can end a model here: one that takes longer than it may is a TIMEOUT when it comes back, and one that
    never does, or ends its process, takes the backtest with it.
    """

    dispatch_seconds = 0.0

    def __init__(self, models: Models, base_class: str) -> None:
        """`models`: a folder of submissions, or by id a class or a submission; `base_class`: `module.Class`.

        UserErrors with all that is wrong with them.
        """
        base = _base(base_class)
        found = _in_folder(models) if isinstance(models, Path) else _given(models, base)
        if not found:
            raise UserError(f"{models}: there is no model in it; give a folder of models, each a folder with main.py")
        self._models = [OwnModel(*found[id_], base) for id_ in sorted(found)]
        self._unasked = False
        self.fresh()

    def models(self) -> list[ModelInfo]:
        return [one.info for one in self._models]

    def fresh(self, wait: bool = True) -> None:
        """Start every model anew; who has not been asked since is anew already."""
        if not self._unasked:
            for one in self._models:
                one.start()
        self._unasked = True

    def ask(
        self, tick: bytes, calls: Sequence[Call], timeout: float, skip: Collection[str] = ()
    ) -> dict[str, list[Answer]]:
        """One instant, see `Runner.ask`; ValueError or TypeError when the calls are not JSON."""
        self._unasked = False
        frame = request(tick, calls)
        return {one.info.id: one.answer(frame, len(calls), timeout) for one in self._models if one.info.id not in skip}

    def rest(self) -> bool:
        """Only live runs rest."""
        return False

    def abort(self) -> None:
        """Nothing runs that could be ended."""

    def close(self) -> None:
        """No process has been started."""


def _base(path: str) -> type:
    module, _, name = path.rpartition(".")
    try:
        found: type = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as fault:
        raise UserError(f"MODEL_BASE_CLASSNAME={path} cannot be loaded: {fault}; give module.Class") from None
    return found


def _in_folder(folder: Path) -> dict[str, tuple[ModelInfo, Path]]:
    found, faults = discover(folder)
    if faults:
        raise UserErrors(faults)
    return found


def _given(models: Mapping[str, type | Path], base: type) -> dict[str, tuple[ModelInfo, type | Path]]:
    """Each with what is known of it."""
    found: dict[str, tuple[ModelInfo, type | Path]] = {}
    faults: list[str] = []
    for id_, source in models.items():
        try:
            if isinstance(source, type):
                found[id_] = _of_class(id_, source, base), source
            else:
                folder = source.resolve()
                found[id_] = read_submission(folder, walk(folder), source, id_), folder
        except UserErrors as told:
            faults += told.faults
        except OSError as fault:
            faults.append(f"{plain(source)}: cannot be read: {fault.strerror}; give the folder of a submission")
    if faults:
        raise UserErrors(faults)
    return found


def _of_class(id_: str, kind: type, base: type) -> ModelInfo:
    if not SLUG.fullmatch(id_):
        raise UserErrors([f"{plain(id_)}: rename it; {SLUG_RULE}"])
    if not issubclass(kind, base):
        raise UserErrors([f"{id_}: {kind.__name__} is no subclass of {base.__module__}.{base.__name__}; make it one"])
    return ModelInfo(id_, id_, f"{kind.__module__}.{kind.__qualname__}"[:100], id_, id_)
