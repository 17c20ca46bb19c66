"""Participants are given nothing that is the operator's; the node needs nothing but what was generated."""

import ast
import json
import os
import sys
from pathlib import Path

import pytest
import yaml

from tests.production.layout import composed
from tests.template.generating import PROJECT, generate

SPEC = {
    "callables": {
        "MODEL_SCORE_AGGREGATOR": "runtime_definitions.secret:aggregate",
        "LEADERBOARD_RANKER": "hidden_house.ranks:rank",
        "SCORING_FUNCTION": "crunch_btc_vol.squared:score_prediction",
    }
}
PRIVATE_FILES = {
    *(
        "callables.env",
        ".local.env",
        "compose.yaml",
        "Dockerfile",
        "workspace.yaml",
        "dagster.yaml",
        "RUNBOOK.md",
    ),
    *("deployment", "docker", "runtime", "runtime_definitions", "models", "scripts", "pack.json"),
}
PRIVATE_WORDS = (
    *("runtime_definitions", "hidden_house", "aggregate_secretly", "callables.env", "crunch-node"),
    *("DATABASE_URL", "DATABASE_PASSWORD", "FEED_API_KEY", "WEBHOOK", "DAGSTER_HOME", "password", "token"),
)
# What participants install; the engine's own files are this project's, word for word.
MAY_IMPORT = {"crunch_btc_vol", "coordinator_dagster", "jsonschema", "pytest", *sys.stdlib_module_names}


@pytest.fixture(scope="module")
def repos(plain_template: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("public")
    return generate(plain_template, folder / "w", pack="tournament", feed="pyth", spec=SPEC)


def own_files(public: Path) -> list[Path]:
    """All but the engine."""
    return [path for path in public.rglob("*") if path.is_file() and "_engine" not in path.parts]


def test_no_file_of_the_node_is_there(repos: tuple[Path, Path]) -> None:
    found = {path.name for path in repos[0].rglob("*") if "_engine" not in path.parts}
    assert found & PRIVATE_FILES == set()
    assert {"contest.json", "tracker.py", "backtest.py", "SKILL.md", "README.md", "pyproject.toml"} <= found


def test_no_private_word_is_there(repos: tuple[Path, Path]) -> None:
    for path in own_files(repos[0]):
        text = path.read_text()
        assert [word for word in PRIVATE_WORDS if word.lower() in text.lower()] == [], path


def test_private_slots_are_none_and_public_ones_are_named(repos: tuple[Path, Path]) -> None:
    slots = json.loads((repos[0] / "crunch_btc_vol" / "contest.json").read_text())["slots"]
    assert {name for name, path in slots.items() if path is None} == {"MODEL_SCORE_AGGREGATOR", "LEADERBOARD_RANKER"}
    assert slots["SCORING_FUNCTION"] == "crunch_btc_vol.squared:score_prediction"
    text = (repos[0] / "crunch_btc_vol" / "scoring.py").read_text()
    assert "from crunch_btc_vol.squared import score_prediction as score_prediction" in text


def test_the_answers_that_copier_needs_there_are_public(repos: tuple[Path, Path]) -> None:
    public, node = (yaml.safe_load((repo / ".copier-answers.yml").read_text()) for repo in repos)
    assert set(public) <= {"_commit", "_src_path", "layout", "name", "title", "pack", "assets", "start", "spec"}
    spec = json.loads(public["spec"])["callables"]
    assert spec["MODEL_SCORE_AGGREGATOR"] == "private:model_score_aggregator"
    assert public["layout"] == "public" and node["layout"] == "private" and node["feed"] == "pyth"


def test_it_imports_what_participants_have(repos: tuple[Path, Path]) -> None:
    for path in own_files(repos[0]):
        if path.suffix == ".py":
            names = {name.split(".")[0] for name in imported(path)}
            assert names <= MAY_IMPORT, path


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


def test_what_is_generated_is_all_files_of_its_own(repos: tuple[Path, Path]) -> None:
    for repo in repos:
        assert [path for path in repo.rglob("*") if path.is_symlink()] == []
        for path in repo.rglob("*"):
            if path.is_file() and path.suffix in (".py", ".md", ".json", ".env", ".yml", ".yaml", ".toml", ""):
                assert str(PROJECT) not in path.read_text(errors="replace"), path


def test_a_node_is_deployed_by_this_repo_s_own_files(repos: tuple[Path, Path]) -> None:
    names = ("Dockerfile", "compose.yaml", "deploy", "Caddyfile")
    for name in names:
        assert (repos[1] / "docker" / name).read_text() == (PROJECT / "docker" / name).read_text()
    assert os.access(repos[1] / "docker" / "deploy", os.X_OK)
    assert (repos[1] / ".dockerignore").read_text() == (PROJECT / ".dockerignore").read_text()
    code = composed(repos[1], "--profile", "blue", file=repos[1] / "docker" / "compose.yaml")["services"]["code-blue"]
    mounted = {one["target"]: one["source"] for one in code["volumes"] if one["type"] == "bind"}
    assert mounted == {"/app/models": str(repos[1] / "models"), "/app/public": str(repos[0])}
    assert [code["environment"][name] for name in ("MODELS_DIR", "PUBLIC_REPO")] == ["/app/models", "/app/public"]
    assert not {".env", "secrets"} & {path.name for path in (repos[1] / "docker").iterdir()}


def test_each_skill_is_one_that_agents_can_read(repos: tuple[Path, Path]) -> None:
    for folder in (*repos, repos[0].parent):
        _, head, text = (folder / "SKILL.md").read_text().split("---\n", 2)
        assert set(yaml.safe_load(head)) == {"name", "description"} and "btc-vol" in text


def test_a_private_scorer_leaves_no_scoring(plain_template: Path, tmp_path: Path) -> None:
    spec = {"callables": {"SCORING_FUNCTION": "runtime_definitions.secret:score"}}
    public, _ = generate(plain_template, tmp_path / "w", spec=spec)
    text = (public / "crunch_btc_vol" / "scoring.py").read_text()
    assert "keeps private" in text and "import" not in text and "runtime_definitions" not in text
