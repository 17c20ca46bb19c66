"""What each model prints: a file for every model, and one older file; both have a cap."""

import os
from pathlib import Path

from coordinator_dagster.runners.confined.layers import OWN
from coordinator_dagster.runners.confined.serving import LOG_CAP
from coordinator_dagster.runners.submission import SLUG, plain

SHOWN = 100_000  # characters


def open_log(folder: Path | None, model_id: str) -> int:
    """The model's log, to be written at its end; what was there is kept as `.log.1` once it has reached the cap.

    A full disk is no fault of the model: then, and without a folder, what it prints is lost.
    """
    try:
        if folder is None:
            raise FileNotFoundError
        path = folder / f"{model_id}.log"
        if path.exists() and path.stat().st_size > LOG_CAP:
            path.replace(path.with_suffix(".log.1"))
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:
        return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)


def last_lines(folder: Path, model_id: str, code: Path, lines: int, characters: int = SHOWN) -> list[str]:
    """The last of what the model printed, as text that no terminal acts on, with paths as its author knows them.

    `code` is the model's folder, which it sees as itself where it is not in a sandbox. What is no model's id has none.
    """
    if not SLUG.fullmatch(model_id):
        return []
    path = folder / f"{model_id}.log"
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4 * characters))
            content = file.read(4 * characters)
    except FileNotFoundError:
        return []  # it has not been started yet
    told = content.decode(errors="replace")[-characters:].replace(f"{OWN}/", "").replace(f"{code.resolve()}/", "")
    return [plain(line) for line in told.splitlines()[-lines:]]
