"""A participant's submission: a folder with `main.py`, or the package `main`, and perhaps `model.toml`."""

import hashlib
import os
import re
import stat
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from coordinator_dagster.errors import UserErrors
from coordinator_dagster.faults import pydantic_faults
from coordinator_dagster.runners.base import ModelInfo

MAX_ENTRIES = 1_000  # files and folders of a submission
MAX_BYTES = 50_000_000  # of all its files
MAX_TOML_BYTES = 16_384
MAX_TEXT = 100  # characters
MAX_LINE = 1_000
MAX_FAULTS = 10  # said of one folder
TOML = "model.toml"
ENTRY_POINTS = ("main.py", "main/__init__.py")
SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
SLUG_RULE = "a model's id has up to 63 of a-z 0-9 _ - and starts with a letter or digit"


class Entry(NamedTuple):
    """A file or folder of a submission, as it stands on the disk; `path` is relative, "" the folder itself."""

    path: str
    mode: int
    size: int
    modified: int
    changed: int
    inode: int


def walk(folder: Path, hidden: bool = True) -> list[Entry]:
    """What is in the folder, by path, no link followed, at most MAX_ENTRIES + 1; OSError when it cannot be read.

    Without `hidden`, what is no part of a submission is left out: names with a dot in front, and `__pycache__`.
    """
    found, todo = [_entry("", os.lstat(folder))], [""]
    while todo and stat.S_ISDIR(found[0].mode):
        inside = todo.pop()
        with os.scandir(folder / inside) as entries:
            for entry in entries:
                if not hidden and (entry.name.startswith(".") or entry.name == "__pycache__"):
                    continue
                path = f"{inside}/{entry.name}" if inside else entry.name
                found.append(_entry(path, entry.stat(follow_symlinks=False)))
                if stat.S_ISDIR(found[-1].mode):
                    todo.append(path)
                if len(found) > MAX_ENTRIES + 1:  # itself is one
                    return sorted(found)
    return sorted(found)


def _entry(path: str, found: os.stat_result) -> Entry:
    return Entry(path, found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


def plain(text: object) -> str:
    """A path or a line for people, whatever it is made of."""
    found = str(text)
    return found if found.isprintable() else repr(found)[1:-1]


def _shape_faults(entries: Sequence[Entry], where: str) -> list[str]:
    """Why these cannot be a submission; `where` is the folder as people know it."""
    if not stat.S_ISDIR(entries[0].mode):
        return [f"{where}: is not a folder, or a symbolic link to one; put the folder itself there"]
    if len(entries) > MAX_ENTRIES + 1:
        return [f"{where}: has more than {MAX_ENTRIES} files and folders; remove what the model does not need"]
    faults, files = [], {entry.path: entry.size for entry in entries if stat.S_ISREG(entry.mode)}
    if not any(one in files for one in ENTRY_POINTS):
        faults.append(f"{where}: it has no main.py; add one with a subclass of the base class, or a package main")
    elif all(one in files for one in ENTRY_POINTS):
        faults.append(f"{where}: it has both main.py and a package main; keep one of them")
    if (total := sum(files.values())) > MAX_BYTES:
        largest = max(files, key=lambda path: files[path])
        faults.append(
            f"{where}: its files have {total} bytes; {MAX_BYTES} are allowed; the largest is {plain(largest)} "
            f"({files[largest]} bytes)"
        )
    return faults + [f"{where}/{plain(entry.path)}: {fault}" for entry in entries[1:] if (fault := _odd(entry))]


def _odd(entry: Entry) -> str | None:
    """Why such a file has no place in a submission."""
    if not entry.path.isprintable():
        return "a name that cannot be shown; rename it"
    if stat.S_ISLNK(entry.mode):
        return "is a symbolic link; put the file itself there"
    if not stat.S_ISREG(entry.mode) and not stat.S_ISDIR(entry.mode):
        return "is neither a file nor a folder; remove it"
    return None


def read_submission(
    folder: Path, entries: Sequence[Entry], shown: Path | None = None, id_: str | None = None
) -> ModelInfo:
    """What is known of the model in `folder`, by the folder's name or `id_`; UserErrors with every fault, bounded.

    `entries` is what `walk` found there, `shown` the folder as people know it. OSError when it changes meanwhile.
    """
    where, id_ = plain(shown or folder), folder.name if id_ is None else id_
    faults = _shape_faults(entries, where)
    if not SLUG.fullmatch(id_):
        faults.insert(0, f"{where}: rename it; {SLUG_RULE}")
    about = About()
    if any(entry.path == TOML and stat.S_ISREG(entry.mode) for entry in entries):
        try:
            about = read_about(folder / TOML, f"{where}/{TOML}")
        except UserErrors as told:
            faults = told.faults + faults
    if faults:
        more = [f"{where}: and {len(faults) - MAX_FAULTS} faults more"] if len(faults) > MAX_FAULTS else []
        raise UserErrors(faults[:MAX_FAULTS] + more)
    label = f"{about.deployment}-" if about.deployment else ""
    player = about.player_id or id_
    deployment = label + _digest(folder, entries)
    return ModelInfo(id_, about.name or id_, deployment, player, about.player_name or player)


def _digest(folder: Path, entries: Sequence[Entry]) -> str:
    """Twelve hexadecimal digits for the names and contents of all files."""
    digest = hashlib.sha256()
    for entry in entries:
        if stat.S_ISREG(entry.mode):
            content = read_file(folder / entry.path, inode=entry.inode)
            digest.update(f"{entry.path}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:12]


def read_file(path: Path, limit: int = MAX_BYTES, inode: int | None = None) -> bytes:
    """A regular file's content, at most `limit` bytes; OSError for a link or anything else that took its place.

    With the `inode` that was found there, also where a folder above it has become a link to another.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or inode not in (None, found.st_ino):
            raise OSError(f"{path.name} is not the file any more that it was")
        return file.read(limit)


def _text(value: object) -> object:
    """Refuse what would spoil a table or a leaderboard."""
    fit = isinstance(value, str) and 1 <= len(value) <= MAX_TEXT and value.isprintable() and value == value.strip()
    if not fit:
        raise ValueError(f"write 1 to {MAX_TEXT} printable characters in quotes, without a space at either end")
    return value


Text = Annotated[str | None, BeforeValidator(_text)]


class About(BaseModel):
    """What `model.toml` may say; what it does not is the folder's name."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: Text = None
    player_id: Text = None
    player_name: Text = None
    deployment: Text = None


def read_about(file: Path, shown: str) -> About:
    """What `model.toml` says; UserErrors with every fault."""
    content = read_file(file, MAX_TOML_BYTES + 1)
    if len(content) > MAX_TOML_BYTES:
        raise UserErrors([f"{shown}: is longer than {MAX_TOML_BYTES} bytes; keep to {', '.join(About.model_fields)}"])
    try:
        return About.model_validate(tomllib.loads(content.decode()))
    except ValidationError as error:
        raise UserErrors([plain(fault)[:MAX_LINE] for fault in pydantic_faults(shown, error, About)]) from None
    except (ValueError, RecursionError) as fault:
        raise UserErrors([f'{shown}: not TOML: {plain(fault)[:200]}; write lines such as name = "My model"']) from None


def about_of(folder: Path) -> dict[str, str]:
    """What the submission's `model.toml` says, if there is one; UserErrors with every fault."""
    file = folder / TOML
    return read_about(file, plain(file)).model_dump(exclude_none=True) if file.exists() else {}


def checked_about(options: dict[str, str | None]) -> dict[str, str]:
    """The options that are given, when they may stand in a `model.toml`; UserErrors with every fault."""
    given = {name: value for name, value in options.items() if value is not None}
    try:
        return About.model_validate(given).model_dump(exclude_none=True)
    except ValidationError as error:
        raise UserErrors([plain(fault)[:MAX_LINE] for fault in pydantic_faults("option", error, About)]) from None
