"""`coordinator doctor` finds what an update could not merge."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from coordinator_dagster.conflict_markers import find_leftovers

Type = Callable[..., tuple[int, str, str]]
CONFLICT = "one\n<<<<<<< before updating\ntwo\n=======\nthree\n>>>>>>> after updating\n"
DIFF3 = "<<<<<<< ours\na\n||||||| base\nb\n=======\nc\n>>>>>>> theirs\n"


def write(folder: Path, files: dict[str, str]) -> None:
    for name, body in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(body)


def found(folder: Path) -> list[tuple[str, int | None]]:
    return [(str(one.file.relative_to(folder)), one.line) for one in find_leftovers(folder)]


def test_every_conflict_in_every_kind_of_file(tmp_path: Path) -> None:
    names = ["definitions.py", ".local.env", "config/pack.json", "workspace.yaml", "pyproject.toml", "README.md"]
    names += ["runtime/slots/tape.py", "Makefile", ".gitignore", ".github/ci.yml", "runtime/store/versions/1.sql"]
    write(tmp_path, dict.fromkeys(names, CONFLICT))
    assert found(tmp_path) == sorted((name, 2) for name in names)
    write(tmp_path, {"README.md": CONFLICT + DIFF3 + CONFLICT})
    assert [line for name, line in found(tmp_path) if name == "README.md"] == [2, 7, 15]


def test_a_rejected_change_is_a_whole_file(tmp_path: Path) -> None:
    write(tmp_path, {"config/pack.json.rej": "@@ -1 +1 @@\n"})
    (one,) = find_leftovers(tmp_path)
    assert (one.line, one.remedy) == (None, "make these changes in pack.json by hand, then delete this file")


@pytest.mark.parametrize(
    "text",
    [
        "A title\n=======\n\ntext\n",
        ">>>>>>> after\n=======\n<<<<<<< before\n",
        "<<<<<<< before\n>>>>>>> after\n",
        CONFLICT.replace("\n", "\n    "),
        CONFLICT.replace("=======", "========"),
    ],
)
def test_what_only_looks_like_one_is_none(tmp_path: Path, text: str) -> None:
    write(tmp_path, {"README.md": text})
    assert found(tmp_path) == []


def test_environments_caches_and_data_are_not_looked_at(tmp_path: Path) -> None:
    folders = [".venv", ".coordinator/logs", ".git", "runtime/__pycache__", ".ruff_cache", "runtime/a.egg-info"]
    write(tmp_path, {f"{folder}/a.py": CONFLICT for folder in folders})
    write(tmp_path, {"picture.png": CONFLICT, "large.json": CONFLICT + " " * 2_000_000})
    (tmp_path / "bytes.py").write_bytes(b"\xff\xfe\n" + os.urandom(1000))
    (tmp_path / "gone.md").symlink_to(tmp_path / "nowhere.md")
    assert found(tmp_path) == []


def test_doctor_names_file_line_and_remedy(type_in: Type, tmp_path: Path) -> None:
    """A settings file that cannot be read because of it is when it matters."""
    write(tmp_path, {".local.env": CONFLICT, "spec.json": CONFLICT, "config/pack.json.rej": ""})
    code, said, errors = type_in("doctor", "--offline")
    assert code == 1
    assert "need attention" in errors
    rows = [line for line in said.splitlines() if "leftover of a merge" in line]
    expected = {
        ".local.env, line 2": "delete the three lines",
        "config/pack.json.rej": "make these changes in pack.json",
        "spec.json, line 2": "delete the three lines",
    }
    for row, (place, remedy) in zip(rows, expected.items(), strict=True):
        assert place in row
        assert remedy in row
    assert "cannot be read" in said


def test_doctor_says_that_there_are_none(type_in: Type) -> None:
    assert "leftovers of a merge" in type_in("doctor", "--offline")[1]
