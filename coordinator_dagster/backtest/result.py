"""What came of a backtest: every forecast, the leaderboard, a picture and a few lines of text."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from coordinator_dagster.leaderboard_table import leaderboard_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Backtest:
    """`forecasts` as `rows.forecasts` has them.

    `leaderboard`: the entries of the last window's board, None where there is none; `final`: every cycle that it
    counts has ended. `left_out`: what private slots cost; `waiting`: why cycles of the last windows have not ended.
    """

    forecasts: pd.DataFrame
    leaderboard: list[dict[str, Any]] | None
    final: bool
    left_out: list[str]
    waiting: list[str]

    def plot(self, path: Path | str | None = None) -> "Figure":
        """Each model's mean score so far, charges included, through time; saved where a `path` is given."""
        from matplotlib.figure import Figure  # slow to import, and only who wants a picture needs it

        figure = Figure(figsize=(9, 5), layout="constrained")
        axes = figure.subplots()
        scored = self.forecasts.dropna(subset=["score"])
        for model_id, own in scored.groupby("model_id"):
            axes.plot(own["performed_at"], own["score"].expanding().mean(), label=str(model_id), linewidth=1)
        axes.set(ylabel="mean score so far", title="" if len(scored) else "nothing has a score")
        axes.grid(alpha=0.3)
        axes.tick_params(axis="x", rotation=30)
        if len(scored):
            axes.legend(loc="best")
        if path is not None:
            figure.savefig(path)
        return figure

    def summary(self) -> str:
        """What happened, for people."""
        lines = [self._span(), *self._models()]
        if self.leaderboard:
            lines += ["", "leaderboard" if self.final else "leaderboard (interim)", *_table(self.leaderboard)]
        lines += ["", *self.left_out] if self.left_out else []
        open_ones = int(self.forecasts["truth"].isna().sum()) if self.waiting else 0
        lines += ["", f"{open_ones} forecasts have no truth: the tape ends before it"] if open_ones else []
        return "\n".join(lines)

    def _span(self) -> str:
        if not len(self.forecasts):
            return "no forecasts: the tape holds nothing of these hours" if self.waiting else "no forecasts"
        times = self.forecasts["performed_at"]
        return f"{len(times)} forecasts from {times.min():%Y-%m-%d %H:%M} to {times.max():%Y-%m-%d %H:%M} UTC"

    def _models(self) -> list[str]:
        """A line a model: its answers by status, its mean score, and why its last failure was one."""
        lines = []
        for model_id, own in self.forecasts.groupby("model_id"):
            counts = ", ".join(f"{count} {status}" for status, count in sorted(own["status"].value_counts().items()))
            mean = own["score"].mean()
            line = f"{model_id}: {counts}" + (f"; mean score {mean:.3f}" if pd.notna(mean) else "")
            failed = own[own["status"].isin(["FAILED", "TIMEOUT", "LATE"])]
            lines += [line, *(f"  the last failure: {reason}" for reason in failed["reason"].tail(1))]
        return lines


def _table(entries: list[dict[str, Any]]) -> list[str]:
    """The leaderboard in columns."""
    rows = leaderboard_rows(entries)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
