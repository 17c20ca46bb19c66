"""Imports point one way: definitions → assets → stages → slots."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
PACKAGES = ("coordinator_dagster", "slots")
FRAMEWORKS = {"dagster", "dagster_postgres", "dagster_webserver", "sqlalchemy", "psycopg2", "alembic"}
DEFINITIONS = "coordinator_dagster.definitions"
CODE_LOCATION = "coordinator_dagster.code_location"


def modules(under: str) -> dict[str, Path]:
    """Module names and files of a package and all below it."""
    found = {}
    for path in sorted((PROJECT / under.replace(".", "/")).rglob("*.py")):
        parts = path.relative_to(PROJECT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path) -> Iterator[tuple[str, int, bool]]:
    """What a file imports: name, line, and whether at its top level; `if TYPE_CHECKING` does not count."""
    package = path.relative_to(PROJECT).parent.parts

    def visit(nodes: list[ast.stmt], top: bool) -> Iterator[tuple[str, int, bool]]:
        for node in nodes:
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                yield from visit(node.orelse, top)
            elif isinstance(node, ast.Import):
                yield from ((alias.name, node.lineno, top) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = package[: len(package) - node.level + 1] if node.level else ()
                source = ".".join([*base, *([node.module] if node.module else [])])
                yield source, node.lineno, top
                yield from ((f"{source}.{alias.name}", node.lineno, top) for alias in node.names)
            else:
                inside = top and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                for _, value in ast.iter_fields(node):
                    blocks = value if isinstance(value, list) else []
                    yield from visit([one for one in blocks if isinstance(one, ast.stmt)], inside)
                    for other in blocks:
                        if isinstance(other, ast.ExceptHandler | ast.match_case):
                            yield from visit(other.body, inside)

    return visit(ast.parse(path.read_text()).body, True)


def offences(under: str, forbidden: set[str]) -> list[str]:
    """Imports below a package of the forbidden modules, or of what is in them."""
    return [
        f"{path.relative_to(PROJECT)}:{line} imports {name}"
        for path in modules(under).values()
        for name, line, _ in imports(path)
        if any(name == one or name.startswith(one + ".") for one in forbidden)
    ]


def test_the_reader_of_imports_sees_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "PROJECT", tmp_path)
    (tmp_path / "slots").mkdir()
    (tmp_path / "slots" / "a.py").write_text(
        "import os\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import dagster\nelse:\n    import json\n"
        "try:\n    from . import b\nexcept ImportError:\n    import sqlalchemy.orm\n"
        "class C:\n    import math\n"
        "    async def f(self):\n        with open('x'):\n            from dagster import op\n"
    )
    assert [(name, top) for name, _, top in imports(tmp_path / "slots" / "a.py")] == [
        ("os", True),
        ("typing", True),
        ("typing.TYPE_CHECKING", True),
        ("json", True),
        ("slots", True),
        ("slots.b", True),
        ("sqlalchemy.orm", True),
        ("math", True),
        ("dagster", False),
        ("dagster.op", False),
    ]
    assert offences("slots", {"sqlalchemy"}) == ["slots/a.py:10 imports sqlalchemy.orm"]


def test_slots_know_nothing_of_the_coordinator() -> None:
    assert modules("slots"), "no module found: the test would show nothing"
    assert offences("slots", {"coordinator_dagster", *FRAMEWORKS}) == []


def test_stages_are_given_their_store_feed_and_runner() -> None:
    assert modules("coordinator_dagster.stages"), "no module found: the test would show nothing"
    outer = {
        "assets",
        "cli",
        "code_location",
        "definitions",
        "jobs",
        "partitions",
        "replay",
        "resources",
        "runtime",
        "store",
        "live",
        "sensors",
    }
    own = {f"coordinator_dagster.{name}" for name in outer}
    assert offences("coordinator_dagster.stages", FRAMEWORKS | own) == []


def test_the_backtest_knows_neither_database_nor_confinement() -> None:
    assert modules("coordinator_dagster.backtest"), "no module found: the test would show nothing"
    outer = {
        "assets",
        "definitions",
        "jobs",
        "live",
        "partitions",
        "replay",
        "resources",
        "runners.local",
        "runners.sandbox",
        "runtime",
        "sensors",
        "store",
    }
    own = {f"coordinator_dagster.{name}" for name in outer}
    assert offences("coordinator_dagster.backtest", FRAMEWORKS | own) == []


def test_reading_a_competition_brings_nothing_that_confines_models() -> None:
    code = (
        "import sys, coordinator_dagster.competition\n"
        "found = [one for one in sys.modules if one.endswith('.sandbox') or '.confined' in one]\n"
        "assert not found, found\n"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr


def test_the_live_driver_knows_nothing_of_dagster() -> None:
    assert modules("coordinator_dagster.live"), "no module found: the test would show nothing"
    outer = {"assets", "cli", "code_location", "definitions", "jobs", "live_job", "partitions", "resources", "sensors"}
    own = {f"coordinator_dagster.{name}" for name in outer}
    assert offences("coordinator_dagster.live", {"dagster", "dagster_postgres", *own}) == []


@pytest.mark.parametrize("under", ["slots", "coordinator_dagster.stages", "coordinator_dagster.backtest"])
def test_no_framework_comes_along(under: str) -> None:
    """Imported in a fresh interpreter, they bring neither Dagster nor a database with them."""
    code = (
        "import importlib, sys\n"
        f"for name in {list(modules(under))}:\n"
        "    importlib.import_module(name)\n"
        f"    found = sorted({FRAMEWORKS} & {{one.partition('.')[0] for one in sys.modules}})\n"
        "    assert not found, f'{name} brings {found}'\n"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr


WITHOUT_DAGSTER = (
    *("backup", "restore", "packs", "replay", "audit", "models", "order", "postgres"),
    *("report", "status", "metrics", "tape", "validate", "verify"),
)


@pytest.mark.parametrize("command", WITHOUT_DAGSTER)
def test_a_command_that_needs_no_dagster_does_not_wait_for_it(command: str) -> None:
    code = f"import sys, coordinator_dagster.cli.{command}\nassert 'dagster' not in sys.modules"
    result = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr


def importers(module: str) -> set[tuple[str, bool]]:
    """The files that import it, and whether at their top level."""
    return {
        (str(path.relative_to(PROJECT)), top)
        for package in PACKAGES
        for path in modules(package).values()
        for name, _, top in imports(path)
        if name == module
    }


def test_nothing_imports_the_definitions() -> None:
    assert importers(DEFINITIONS) == set()
    assert importers(CODE_LOCATION) == {
        ("coordinator_dagster/definitions.py", True),
        ("coordinator_dagster/cli/demo.py", False),
    }, "beside the definitions only the demo may, and only when it runs"
