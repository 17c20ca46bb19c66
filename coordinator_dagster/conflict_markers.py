"""What `copier update` and git leave in files where they could not merge: conflict markers, and `.rej` files."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BEGINS, BETWEEN, ENDS = "<<<<<<< ", "=======", ">>>>>>> "
REJECTED = ".rej"
# A file without a suffix is one such as Makefile, Dockerfile or .gitignore.
SUFFIXES = {"", ".cfg", ".css", ".env", ".html", ".ini", ".js", ".json", ".md", ".py", ".service", ".sh", ".sql"}
SUFFIXES |= {".toml", ".txt", ".yaml", ".yml"}
NOT_OURS = {".git", ".venv", ".coordinator", "__pycache__", "node_modules"}
LARGEST_BYTES = 2_000_000  # what is larger is data


@dataclass(frozen=True)
class Leftover:
    """A place where something is still to be merged, by hand."""

    file: Path
    line: int | None
    """Of the first marker, from 1; None: the whole file is what could not be merged."""

    @property
    def remedy(self) -> str:
        if self.line is None:
            return f"make these changes in {self.file.stem} by hand, then delete this file"
        return f"choose between what is above and below {BETWEEN}, and delete the three lines of markers"


def find_leftovers(folder: Path) -> list[Leftover]:
    """All below the folder, in order; not in environments, caches or data."""
    return [one for file in sorted(_text_files(folder)) for one in _leftovers_of(file)]


def _text_files(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in NOT_OURS and not name.endswith(("_cache", ".egg-info"))]
        for file in (Path(parent) / name for name in files):
            if file.suffix in SUFFIXES | {REJECTED} and file.is_file() and file.stat().st_size <= LARGEST_BYTES:
                yield file


def _leftovers_of(file: Path) -> Iterator[Leftover]:
    """A conflict is all three markers in their order: the one between also underlines titles."""
    if file.suffix == REJECTED:
        yield Leftover(file, None)
        return
    begun, parted = None, False
    for number, line in enumerate(_lines(file), 1):
        if line.startswith(BEGINS):
            begun, parted = number, False
        elif begun and line.rstrip() == BETWEEN:
            parted = True
        elif begun and parted and line.startswith(ENDS):
            yield Leftover(file, begun)
            begun, parted = None, False


def _lines(file: Path) -> list[str]:
    """None of a file that we may not read."""
    try:
        return file.read_text(errors="replace").splitlines()
    except PermissionError:
        return []
