"""What is stored, for the player of a model: without the operator's files and names, and what it was not told."""

import re
from collections.abc import Mapping
from typing import Any

from coordinator_dagster.report.reasons import public_gap_reason
from coordinator_dagster.store.report.own_forecasts import UNTOLD

VERSION_DETAIL = ("rules", "slot_version", "truth_version")  # the others name the operator's files
PATH = re.compile(r"(?<![\w./])/(?:[^\s/'\"]+/)+([^\s/'\"]+)")
SLOT = re.compile(r"\b([A-Z_]+)=\S+ \(from .*?\): ")  # as a slot that failed is named in a reason
Record = dict[str, Any]


def without_files(found: Any) -> Any:
    """The texts in it, without where the operator's slots and files are; their names stay."""
    if isinstance(found, dict):
        return {name: without_files(one) for name, one in found.items()}
    if isinstance(found, list):
        return [without_files(one) for one in found]
    return PATH.sub(r"\1", SLOT.sub(r"\1: ", found)) if isinstance(found, str) else found


def for_its_player(document: Mapping[str, Any]) -> Record:
    """What `explain.explanation` gives, for a participant.

    Other models are in it by their scores only, and only once there is a truth: anybody may read these.
    """
    cycles = [without_files(_cycle(one)) for one in document["cycles"]]
    told = any(_told(one["forecast"]) for one in cycles)
    return {**document, "input": document["input"] if told else None, "cycles": cycles}


def _told(forecast: Mapping[str, Any]) -> bool:
    """Whether the model got the input."""
    return forecast.get("asked_at") is not None and forecast["status"] not in UNTOLD


def _cycle(one: Mapping[str, Any]) -> Record:
    cycle, version = one["cycle"], one["version"]
    return {
        **one,
        "cycle": cycle if _told(one["forecast"]) else {**cycle, "call": None},
        "truth": {
            **_by_order(one["truth"]),
            "records": [
                {**_record(record), "corrections": [_anonymous(each) for each in record["corrections"]]}
                for record in one["truth"]["records"]
            ],
        },
        "superseded": {kind: [_by_order(each) for each in several] for kind, several in one["superseded"].items()},
        "other_versions": {
            kind: [_by_order(each) for each in several] for kind, several in one["other_versions"].items()
        },
        "version": {**version, "detail": {name: version["detail"][name] for name in VERSION_DETAIL}},
    }


def _record(record: Mapping[str, Any]) -> Record:
    gap = record["gap"]
    return {**record, "gap": gap and {**gap, "reason": public_gap_reason(gap["reason"])}}


def _by_order(row: Mapping[str, Any]) -> Record:
    """Without who gave the order that it follows."""
    return {**row, "order": _anonymous(row["order"])} if row.get("order") else dict(row)


def _anonymous(order: Mapping[str, Any]) -> Record:
    return {name: value for name, value in order.items() if name != "given_by"}
