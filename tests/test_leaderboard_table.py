"""The leaderboard as people read it."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from coordinator_dagster.cli.console import console, print_leaderboard
from coordinator_dagster.leaderboard_table import leaderboard_rows


def entry(model: str, rank: int | None, **more: Any) -> dict[str, Any]:
    score = {"metrics": {"score": 0.5}, "payload": {"answered": 3, "due": 4}}
    return {"model_id": model, "rank": rank, "score": score, **more}


def test_the_reason_has_a_column_only_where_a_model_is_unranked() -> None:
    header = ["rank", "model", "player", "score", "answered"]
    first = ["1", "a", "", "0.500", "3/4"]
    assert leaderboard_rows([entry("a", 1)]) == [header, first]
    assert leaderboard_rows([entry("a", 1), entry("b", None, unranked_reason="too few")]) == [
        [*header, "why unranked"],
        [*first, ""],
        ["–", "b", "", "0.500", "3/4", "too few"],
    ]


def test_a_name_is_no_markup() -> None:
    entries = [entry("a", 1, cruncher_name="Ada [/red]", model_name="[bold]er")]
    with console.capture() as shown:
        print_leaderboard(
            SimpleNamespace(final=True, entries_jsonb=entries, computed_at=datetime(2026, 1, 5, tzinfo=UTC))
        )
    assert "Ada [/red]" in shown.get() and "[bold]er" in shown.get()
