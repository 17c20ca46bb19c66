"""Where the local runner finds its models: one sub-folder each."""

import contextlib
import hashlib
import re
import tomllib
from pathlib import Path

from coordinator_dagster.errors import UserError
from coordinator_dagster.runners.base import ModelInfo

_SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_TOML_KEYS = ("name", "player_id", "player_name")


def discover(models_dir: Path) -> tuple[dict[str, tuple[ModelInfo, Path]], list[str]]:
    """The models in `models_dir` by id (info, folder), and what is wrong with the other folders, in words."""
    if not models_dir.is_dir():
        return {}, [f"{models_dir}: there is no such folder of models"]
    found, faults = {}, []
    for folder in sorted(p for p in models_dir.resolve().iterdir() if p.is_dir()):
        if folder.name.startswith(".") or folder.name == "__pycache__":
            continue
        try:
            found[folder.name] = (_info(folder), folder)
        except (UserError, OSError) as fault:
            faults.append(f"{folder}: {fault}")
    return found, faults


def _info(folder: Path) -> ModelInfo:
    """What is known of the model in `folder`; UserError when it is not a model's folder."""
    if not _SLUG.fullmatch(folder.name):
        raise UserError("rename it; a model's id has up to 63 of a-z 0-9 _ - and starts with a letter or digit")
    if not (folder / "main.py").is_file():
        raise UserError("it has no main.py; add one with a subclass of the base class, or remove the folder")
    about = dict.fromkeys(_TOML_KEYS, folder.name)
    with contextlib.suppress(FileNotFoundError):
        try:
            told = tomllib.loads((folder / "model.toml").read_text("utf-8"))
        except ValueError as fault:
            raise UserError(f"model.toml is not TOML: {fault}") from None
        if bad := [k for k, v in told.items() if k not in about or not isinstance(v, str) or not v]:
            raise UserError(f"model.toml: {', '.join(bad)}: it takes {', '.join(_TOML_KEYS)}, as texts")
        about |= told
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder)}\0{len(content)}\0".encode() + content)
    return ModelInfo(id=folder.name, deployment=digest.hexdigest()[:12], **about)
