"""The template as it stands, apart from this repo."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.template.generating import PROJECT, git


@pytest.fixture(scope="session")
def plain_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that this repo holds; without git, so that copier need not clone it. Do not change it."""
    folder = tmp_path_factory.mktemp("template") / "coordinator"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (PROJECT / name).is_file() or (PROJECT / name).is_symlink():  # what was deleted is listed, too
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, folder / name, follow_symlinks=False)
    return folder


@pytest.fixture(scope="session")
def template(plain_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a git repo, tagged v0.1.0; do not change it."""
    repo = tmp_path_factory.mktemp("template") / "coordinator"
    shutil.copytree(plain_template, repo, symlinks=True)
    git(repo, "init", "--quiet")
    git(repo, "add", "--all")
    git(repo, "commit", "--quiet", "--message", "The template")
    git(repo, "tag", "v0.1.0")
    return repo
