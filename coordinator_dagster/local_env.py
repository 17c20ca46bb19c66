"""`.local.env`: what a command learnt about this competition, kept for the next one."""

from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values


def remember(home: Path, values: Mapping[str, str], by: str) -> list[str]:
    """Add the settings that `.local.env` does not name yet; what is there stays. Returns the names added."""
    file = home / ".local.env"
    known = dotenv_values(file)
    missing = {name: value for name, value in values.items() if name not in known}
    if missing:
        before = file.read_text() if file.exists() else ""
        joint = "" if not before or before.endswith("\n") else "\n"
        lines = "".join(f"{name}={value}\n" for name, value in missing.items())
        file.write_text(f"{before}{joint}# written by `{by}`\n{lines}")
    return list(missing)
