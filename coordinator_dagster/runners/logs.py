"""What each model prints: a file for every model, and one older file; both have a cap."""

import os
from pathlib import Path

from coordinator_dagster.runners.confined.serving import LOG_CAP


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
