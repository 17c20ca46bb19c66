"""Model scores and leaderboards by window, in memory."""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from datetime import datetime, timedelta
from typing import Any

from coordinator_dagster.backtest.tables import Tables, frozen, thawed
from coordinator_dagster.windows import Window
from slots.views import ModelView

Entries = Sequence[dict[str, Any]]


class MemoryBoards:
    """What the boards of each window are made of, and the boards."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._model_scores: dict[datetime, str | None] = {}  # by the window's start; only where there are some
        self._boards: dict[Window, tuple[str | None, bool]] = {}

    def models(self) -> dict[str, ModelView]:
        """All models by id, in order of id."""
        return {id_: ModelView(one.name, one.player_name) for id_, one in sorted(self._tables.models.items())}

    def scored_windows(self, after: datetime, until: datetime, version: str) -> list[datetime]:
        """The starts of the windows in `(after, until]` that have model scores, or a board on which nobody is."""
        starts = {*self._model_scores, *(window.start for window in self._boards)}
        return sorted(start for start in starts if after < start <= until)

    def put_model_scores(self, boards: Mapping[Window, Entries], version: str) -> None:
        """The entries of these windows."""
        for window, entries in boards.items():
            self._model_scores.pop(window.start, None)
            if entries:
                self._model_scores[window.start] = frozen(sorted(entries, key=lambda one: one["model_id"]))

    def model_scores(self, windows: Sequence[Window], version: str) -> dict[datetime, list[dict[str, Any]]]:
        """The entries of each of these windows, by its start; in order of model id."""
        return {window.start: thawed(self._model_scores.get(window.start)) or [] for window in windows}

    def put_latest_scores(self, entries: Entries, by_scope: Mapping[str, Entries], computed_at: datetime) -> None:
        """Columns of `models` in the database, for those who read it; here nobody does."""

    def put_leaderboards(
        self, boards: Mapping[Window, Entries], version: str, final: Set[Window], meta: Mapping[str, Any]
    ) -> None:
        """The boards of these windows."""
        self._boards |= {window: (frozen(list(entries)), window in final) for window, entries in boards.items()}

    def ended_cycles(
        self, after: datetime, until: datetime, length: timedelta, truth_version: str, version: str
    ) -> dict[datetime, int]:
        """How many cycles have ended, by the end of the window `(start, end]` their truth falls in.

        They have their truth; their scores come with it, before a board is made.
        """
        ended = [one.cycle.resolvable_at for one in self._tables.between(after, until) if one.truth]
        return Counter(self._tables.grid.resolving(at).end for at in ended)

    def show_version(self, version: str, detail: Mapping[str, Any], look_back: timedelta) -> bool:
        """There is no other to show."""
        return True

    def last(self) -> tuple[list[dict[str, Any]], bool] | None:
        """The entries of the newest board, and whether it is final; None: there is no board."""
        if not self._boards:
            return None
        entries, final = self._boards[max(self._boards)]
        return thawed(entries), final
