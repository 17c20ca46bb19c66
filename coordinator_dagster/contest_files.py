"""What the node publishes: contest and JSON Schemas for participants, columns and charts for the report web app."""

from pathlib import Path
from typing import Any

import orjson
from genson import SchemaBuilder

from coordinator_dagster.competition import Competition
from coordinator_dagster.contest import contest_of, to_text
from coordinator_dagster.errors import UserError
from coordinator_dagster.rehearsal import SLOTS, sample_inputs
from coordinator_dagster.stages.cycle import prepare

REPORT_UI = "deployment/report-ui"  # in the node's folder
REMEDY = "run `coordinator contest` to publish it"


def contest_files(competition: Competition) -> dict[Path, str]:
    """The text of each file by its place; UserError without PUBLIC_REPO, SlotErrors when a slot cannot be loaded."""
    repo = competition.settings.public_repo
    if repo is None:
        raise UserError("PUBLIC_REPO is not set; set it to the participants' repo, such as ../crunch-btc")
    package = repo / competition.settings.model_base_classname.split(".")[0]
    if not package.is_dir():
        raise UserError(
            f"PUBLIC_REPO={repo}: it has no folder {package.name}, which MODEL_BASE_CLASSNAME="
            f"{competition.settings.model_base_classname} names; mend one of them"
        )
    contents: dict[Path, Any] = {package / "contest.json": contest_of(competition).model_dump(mode="json")}
    for name, schema in model_schemas(competition).items():
        contents[repo / "schemas" / f"{name}.schema.json"] = schema
    if (folder := competition.home / REPORT_UI).is_dir():
        shown = competition.slots("REPORT_SCHEMA_PROVIDER")["REPORT_SCHEMA_PROVIDER"]()
        contents[folder / "leaderboard-columns.json"] = shown["leaderboard_columns"]
        contents[folder / "metrics-widgets.json"] = shown["metrics_widgets"]
    return {place: to_text(content) for place, content in contents.items()}


def model_schemas(competition: Competition) -> dict[str, dict[str, Any]]:
    """JSON Schemas of what `tick` is given, how `predict` is called and what it returns, from a sample market."""
    slots = competition.slots(*SLOTS)
    given = sample_inputs(competition, slots)
    asked = prepare(competition.pack, slots, given[-1], competition.pack.configs)
    return {
        "input": _schema("What tick(data) is given.", [orjson.loads(one.payload) for one in given]),
        "call": _schema("How predict is called.", [one.call for one in asked]) | {"examples": [o.call for o in asked]},
        "output": _schema("What predict returns.", [competition.pack.example_output]),
    }


def _schema(title: str, examples: list[Any]) -> dict[str, Any]:
    builder = SchemaBuilder("https://json-schema.org/draft/2020-12/schema")
    for one in examples:
        builder.add_object(one)
    return {**builder.to_schema(), "title": title}


def differing(competition: Competition) -> dict[Path, str]:
    """Those of the files that say something else, or are missing."""
    files = contest_files(competition)
    return {place: text for place, text in files.items() if not place.is_file() or place.read_text() != text}


def unpublished(competition: Competition) -> list[str]:
    """The same, in words."""
    return [
        f"{place}: {'is not what this node does' if place.is_file() else 'is missing'}; {REMEDY}"
        for place in differing(competition)
    ]
