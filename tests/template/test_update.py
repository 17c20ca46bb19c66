"""`copier update` in either repo brings the next version of the runtime, and no edit is lost."""

from dataclasses import dataclass
from pathlib import Path

import copier
import pytest
import yaml

from coordinator_dagster.conflict_markers import find_leftovers
from tests.template.generating import generate, git

FIRST, NEXT = "v0.1.0", "v0.2.0"
MINE, THEIRS = "# mine\n", "# theirs\n"
# What is the operator's own, in either repo; each exists once generated.
OWN_OF_NODE = (".local.env", "README.md", "runtime_definitions/data.py", "models/mean_reversion/main.py")
OWN_OF_PUBLIC = (
    *("README.md", "crunch_btc_vol/tracker.py", "crunch_btc_vol/scoring.py", "crunch_btc_vol/contest.json"),
    *("examples/mean_reversion/main.py",),
)
CHANGED_IN_TEMPLATE = (
    *("private/.local.env.tmpl", "private/README.md.tmpl", "private/runtime_definitions/data.py.tmpl"),
    *("public/README.md.tmpl", "public/examples/mean_reversion/main.py.tmpl"),
    "public/examples/trend_following/main.py.tmpl",
)


@dataclass(frozen=True)
class Updated:
    """A workspace that was edited, committed, and updated in both of its repos; `own`: the operator's files then."""

    template: Path
    public: Path
    node: Path
    own: dict[Path, bytes]


def commit(repo: Path) -> None:
    git(repo, "add", "--all")
    git(repo, "commit", "--quiet", "--message", "As it is")


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def release(template: Path) -> None:
    """The next version: of the runtime a file is changed, one new, one gone; and what the operator owns is changed."""
    append(template / "slots" / "defaults.py", "# the next version\n")
    append(template / "slots" / "tracker.py", THEIRS)
    append(template / "slots" / "scoring.py", THEIRS)
    (template / "coordinator_dagster" / "added.py").write_text('"""New."""\n')
    git(template, "rm", "--quiet", "coordinator_dagster/explain.py")
    for name in CHANGED_IN_TEMPLATE:
        append(template / "copier_template" / name, THEIRS)
    replace(template / "copier_template" / "private" / "Makefile.tmpl", "BIN := .venv/bin", "BIN := theirs/bin")
    replace(template / "docker" / "Dockerfile", "USER 10001", "USER 10001\nENV NEW=yes")
    replace(template / "packs" / "baseline.json", '"look_back_hours": 168', '"look_back_hours": 24')
    commit(template)
    git(template, "tag", NEXT)


def edit(public: Path, node: Path) -> dict[Path, bytes]:
    """Edits of every kind; the operator's own files as they are then."""
    own = [*(node / name for name in OWN_OF_NODE), *(public / name for name in OWN_OF_PUBLIC)]
    for path in own:
        append(path, MINE)
    for gone in (node / "models" / "trend_following", public / "examples" / "trend_following"):
        git(gone.parent, "rm", "-r", "--quiet", gone.name)
    append(node / "docker" / "Dockerfile", "# my own last line\n")
    replace(node / "config" / "pack.json", '"min_cycles": 30', '"min_cycles": 7')
    replace(node / "Makefile", "BIN := .venv/bin", "BIN := mine/bin")
    return {path: path.read_bytes() for path in own}


@pytest.fixture(scope="module")
def updated(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Updated:
    folder = tmp_path_factory.mktemp("update")
    git(folder, "clone", "--quiet", str(template), "template")
    spec = {"callables": {"MODEL_SCORE_AGGREGATOR": "runtime_definitions.secret:aggregate"}}
    public, node = generate(folder / "template", folder / "w", spec=spec)
    for repo in (public, node):
        assert version(repo) == FIRST
        git(repo, "init", "--quiet")
        commit(repo)
    own = edit(public, node)
    release(folder / "template")
    for repo in (public, node):
        commit(repo)
        update(repo)
    return Updated(folder / "template", public, node, own)


def update(repo: Path) -> None:
    copier.run_update(repo, defaults=True, overwrite=True, quiet=True)


def version(repo: Path) -> str:
    found: dict[str, str] = yaml.safe_load((repo / ".copier-answers.yml").read_text())
    return found["_commit"]


def test_the_runtime_is_the_next_one(updated: Updated) -> None:
    public, node = updated.public, updated.node
    assert version(public) == version(node) == NEXT
    assert "secret" not in (public / ".copier-answers.yml").read_text()
    assert "private:model_score_aggregator" in (public / ".copier-answers.yml").read_text()
    for runtime in (node / "runtime", public / "crunch_btc_vol" / "_engine"):
        assert (runtime / "slots" / "defaults.py").read_text().endswith("# the next version\n")
    assert (node / "runtime" / "VERSION").read_text() == f"{NEXT}\n"
    assert (node / "runtime" / "coordinator_dagster" / "added.py").is_file()
    assert not (node / "runtime" / "coordinator_dagster" / "explain.py").exists()
    assert not (public / "config").exists() and not (node / "crunch_btc_vol").exists(), "each repo has its own alone"


def test_what_is_the_operator_s_stays(updated: Updated) -> None:
    assert {path: path.read_bytes() for path in updated.own} == updated.own
    assert not (updated.node / "models" / "trend_following").exists(), "what was deleted stays so"
    assert not (updated.public / "examples" / "trend_following").exists()


def test_edits_elsewhere_are_merged(updated: Updated) -> None:
    docker, pack = (updated.node / name for name in ("docker/Dockerfile", "config/pack.json"))
    assert "ENV NEW=yes" in docker.read_text() and "my own last line" in docker.read_text()
    assert '"min_cycles": 7' in pack.read_text() and '"look_back_hours": 24' in pack.read_text()


def test_a_conflict_is_seen(updated: Updated) -> None:
    makefile = updated.node / "Makefile"
    assert "mine/bin" in makefile.read_text() and "theirs/bin" in makefile.read_text()
    (found,) = find_leftovers(updated.node)
    assert found.file == makefile and found.line
    assert "UU Makefile" in git(updated.node, "status", "--short")
    assert find_leftovers(updated.public) == []


def test_uncommitted_edits_are_refused(updated: Updated) -> None:
    with pytest.raises(copier.errors.UserMessageError, match="dirty"):
        update(updated.public)


def test_nor_does_recopy_touch_what_is_the_operator_s(updated: Updated) -> None:
    copier.run_recopy(updated.public, defaults=True, overwrite=True, quiet=True)
    copier.run_recopy(updated.node, defaults=True, overwrite=True, quiet=True)
    assert {path: path.read_bytes() for path in updated.own} == updated.own


def test_one_git_repo_may_hold_both(updated: Updated, tmp_path: Path) -> None:
    """Each folder has answers of its own."""
    copier.run_copy(str(updated.template), tmp_path, data={"name": "x"}, defaults=True, quiet=True, vcs_ref=FIRST)
    public, node = tmp_path / "crunch-x", tmp_path / "crunch-node-x"
    git(tmp_path, "init", "--quiet")
    commit(tmp_path)
    update(public)
    assert version(public) == NEXT and version(node) == FIRST
    engine = public / "crunch_x" / "_engine" / "slots" / "defaults.py"
    assert "# the next version" in engine.read_text()
    assert git(tmp_path, "status", "--short", "crunch-node-x") == ""
