"""Where a model's code is at home: its modules are its own, though all models run in one process."""

import contextlib
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

ENTRY = "main"


class Home:
    """A submission's folder. `shared` is a package that models have in common, whatever the folder holds."""

    def __init__(self, folder: Path, shared: str) -> None:
        self.folder = folder
        self._names = {one.stem for one in folder.iterdir() if one.suffix == ".py" or one.is_dir()} - {shared}
        self._modules: dict[str, ModuleType] = {}

    def load(self) -> ModuleType:
        """Its `main`, run anew with all that it imports of its folder; call it inside of `here`."""
        self._put_away()
        return importlib.import_module(ENTRY)

    @contextlib.contextmanager
    def here(self) -> Iterator[None]:
        """The model's code runs as in the contest: in its folder, which comes first where modules are looked for."""
        others, compiled = self._put_away(), sys.dont_write_bytecode
        sys.modules.update(self._modules)
        sys.path.insert(0, str(self.folder))
        sys.dont_write_bytecode = True  # nothing is left in the folder: it is what will be submitted
        try:
            with contextlib.chdir(self.folder):
                yield
        finally:
            sys.dont_write_bytecode = compiled
            with contextlib.suppress(ValueError):
                sys.path.remove(str(self.folder))
            self._modules = self._put_away()
            sys.modules.update(others)

    def _put_away(self) -> dict[str, ModuleType]:
        """Take the modules out of sight that are named like the folder's."""
        named = [name for name in self._names if name in sys.modules]
        if any(hasattr(sys.modules[name], "__path__") for name in named):  # a package: all that is in it, too
            named = [name for name in list(sys.modules) if name.partition(".")[0] in self._names]
        return {name: sys.modules.pop(name) for name in named}
