"""The code location of the folder in COORDINATOR_HOME, or else of the working directory.

A folder with a `definitions.py` of its own is loaded by that, so that several can be in one Dagster.
"""

from coordinator_dagster.code_location import build_definitions
from coordinator_dagster.competition import read_competition

defs = build_definitions(read_competition())
