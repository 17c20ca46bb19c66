"""`coordinator audit`, over the competition that was killed."""

from typer.testing import CliRunner

from coordinator_dagster.cli import app


def audit_finds_nothing(killed: str) -> None:
    """The audit of the competition in the environment ends with exit code 0; `killed`: when it was, in words."""
    found = CliRunner().invoke(app, ["audit"])
    assert found.exit_code == 0, f"killed {killed}; coordinator audit: {found.output}\n{found.exception or ''}"
