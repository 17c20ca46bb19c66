"""Which modules are loaded before the models fork: a model that imports one of them starts in milliseconds then.

A fork costs by what is loaded (numpy 1 ms, pandas 3), so nothing is that no model asks for.
"""

import re
from collections.abc import Iterable
from pathlib import Path

_KNOWN = {b"numpy": ("numpy", "numpy.random"), b"pandas": ("numpy", "numpy.random", "pandas")}
_IMPORT = re.compile(rb"^[ \t]*(?:import|from)[ \t].*?\b(numpy|pandas)\b", re.MULTILINE)
_READ = 1 << 18  # bytes of a file: imports stand at its beginning


def imported(folders: Iterable[Path]) -> list[str]:
    """numpy and pandas, as far as a Python file in one of these folders imports them."""
    found: set[str] = set()
    for folder in folders:
        for path in folder.rglob("*.py"):
            try:
                with path.open("rb") as file:
                    names = _IMPORT.findall(file.read(_READ))
            except OSError:
                continue  # it has just gone, or cannot be read: the model will say so
            found.update(*(_KNOWN[name] for name in names))
    return sorted(found)
