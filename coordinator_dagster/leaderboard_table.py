"""A leaderboard as rows of text, the header first: for the terminal and the Dagster UI."""

from collections.abc import Sequence
from typing import Any


def leaderboard_rows(entries: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Rank, model, player, each metric, answered of due; and, where a model is unranked, why."""
    metrics = list(entries[0]["score"]["metrics"]) if entries else []
    unranked = any(entry.get("unranked_reason") for entry in entries)
    rows = [["rank", "model", "player", *metrics, "answered", *(["why unranked"] if unranked else [])]]
    for entry in entries:
        payload = entry["score"]["payload"]
        values = [entry["score"]["metrics"].get(name) for name in metrics]
        rows.append(
            [
                str(entry["rank"] or "–"),
                str(entry.get("model_name", entry["model_id"])),
                str(entry.get("cruncher_name", "")),
                *("–" if value is None else f"{value:.3f}" for value in values),
                f"{payload['answered']}/{payload['due']}",
                *([entry.get("unranked_reason", "")] if unranked else []),
            ]
        )
    return rows
