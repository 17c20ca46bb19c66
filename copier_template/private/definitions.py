"""The code location: what Dagster loads for this node. Two nodes may stand in one Dagster; docs: RUNBOOK.md."""

from pathlib import Path

from coordinator_dagster.code_location import build_definitions
from coordinator_dagster.competition import read_competition

defs = build_definitions(read_competition(Path(__file__).parent))
