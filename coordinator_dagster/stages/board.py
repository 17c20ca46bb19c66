"""From scores to a leaderboard: one entry a model, ranked, for the end of each window."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from coordinator_dagster.competition import Competition
from coordinator_dagster.packs import Pack
from coordinator_dagster.schedule import Schedule
from coordinator_dagster.stages.numbers import is_number, not_json
from coordinator_dagster.windows import WINDOWS_AT_ONCE, Window, stretches
from slots.loader import Slot, SlotFailure
from slots.views import ModelView, Rollup

if TYPE_CHECKING:
    from coordinator_dagster.store.store import Store


@dataclass
class BoardReport:
    """Windows whose board was made, how many of them are final, models ranked and listed on the newest."""

    windows: int = 0
    final: int = 0
    ranked: int = 0
    listed: int = 0


@dataclass(frozen=True)
class _Boards:
    """What the boards of a version are made with."""

    competition: Competition
    store: Store
    slot: Slot
    models: Mapping[str, ModelView]
    version: str


def aggregate(competition: Competition, store: Store, windows: Sequence[Window]) -> BoardReport:
    """The model scores at the end of each of these windows, and of later ones that look back on them."""
    slot = competition.slots("MODEL_SCORE_AGGREGATOR")["MODEL_SCORE_AGGREGATOR"]
    boards = _Boards(competition, store, slot, store.boards.models(), competition.score_version())
    affected, report = _affected(competition, store, windows, boards.version), BoardReport()
    look_back = competition.pack.look_back
    every = store.scores.rollups(affected[0].end - look_back, affected[-1].end, boards.version)
    for some in stretches(affected, WINDOWS_AT_ONCE):
        entries = {window: _aggregate(boards, window, _looked_back_on(every, window, look_back)) for window in some}
        store.boards.put_model_scores(entries, boards.version)
        report.windows, report.listed = report.windows + len(some), len(entries[some[-1]])
    last = affected[-1]
    by_scope = _by_scope(boards, last, _looked_back_on(every, last, look_back))
    store.boards.put_latest_scores(entries[last], by_scope, last.end)
    return report


def _looked_back_on(rollups: Sequence[Rollup], window: Window, look_back: timedelta) -> list[Rollup]:
    return [one for one in rollups if window.end - look_back < one.window_end <= window.end]


def _affected(competition: Competition, store: Store, windows: Sequence[Window], version: str) -> list[Window]:
    """These windows, and the boards that stand after them and count their scores."""
    later = store.boards.scored_windows(windows[0].start, windows[-1].end + competition.pack.look_back, version)
    return sorted({*windows, *(competition.windows.at(start) for start in later)})


def _aggregate(boards: _Boards, window: Window, rollups: Sequence[Rollup]) -> list[dict[str, Any]]:
    pack, slot, models = boards.competition.pack, boards.slot, boards.models
    offered: dict[str, Any] = {"models": models, "rollups": rollups, "now": window.end}
    if slot.asks_for("scored_predictions"):
        offered["scored_predictions"] = boards.store.scores.scored_predictions(
            window.end - pack.look_back, window.end, boards.version
        )
    found = slot(**offered)
    if fault := entries_fault(found, models):
        raise SlotFailure(f"{slot.at}: {fault}")
    entries, due, answered = [], Counter[str](), Counter[str]()
    for rollup in rollups:
        due[rollup.model_id] += rollup.due
        answered[rollup.model_id] += rollup.answered
    for entry in sorted(found, key=lambda one: one["model_id"]):
        score = {"payload": {}, **entry["score"]}
        score["ranking"] = {"direction": pack.score_direction, **score["ranking"]}
        score["payload"] |= _coverage(due[entry["model_id"]], answered[entry["model_id"]])
        entries.append({**entry, "score": score})
    return entries


def entries_fault(found: Any, models: Mapping[str, ModelView]) -> str | None:
    """What is wrong with what an aggregator returned; None: nothing."""
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        return "must return a list of entries"
    for entry in found:
        if not isinstance(entry.get("model_id"), str) or entry["model_id"] not in models:
            return f"an entry's model_id is {entry.get('model_id')!r}, no known model"
        score = entry.get("score")
        if not isinstance(score, dict) or not isinstance(score.get("metrics"), dict):
            return f"the entry of {entry['model_id']} has no score.metrics"
        ranking = score.get("ranking")
        if not isinstance(ranking, dict) or not {"key", "value"} <= set(ranking):
            return f"the entry of {entry['model_id']} has no score.ranking with key and value"
        if ranking.get("direction", "desc") not in ("asc", "desc"):
            return f"the direction of {entry['model_id']} is {ranking['direction']!r}, not asc or desc"
        if fault := not_json(entry, entry["model_id"]):
            return fault
        for name, value in [*score["metrics"].items(), ("ranking.value", ranking["value"])]:
            if value is not None and not is_number(value):
                return f"{name} of {entry['model_id']} is {value!r}, not a finite number or None"
    ids = [entry["model_id"] for entry in found]
    return None if len(set(ids)) == len(ids) else "more than one entry for a model"


def _coverage(due: int, answered: int) -> dict[str, Any]:
    return {"due": due, "answered": answered, "coverage": answered / due if due else None}


def _by_scope(boards: _Boards, window: Window, rollups: Sequence[Rollup]) -> dict[str, list[dict[str, Any]]]:
    """The same aggregation scope by scope, by model; only for aggregators that work on rollups."""
    scopes: dict[str, list[dict[str, Any]]] = {}
    if boards.slot.asks_for("scored_predictions"):
        return scopes
    for scope_key in sorted({rollup.scope_key for rollup in rollups}):
        own = [rollup for rollup in rollups if rollup.scope_key == scope_key]
        for entry in _aggregate(boards, window, own):
            scopes.setdefault(entry["model_id"], []).append({"scope_key": scope_key, "score": entry["score"]})
    return scopes


def rank(competition: Competition, store: Store, windows: Sequence[Window], interim: bool = False) -> BoardReport:
    """The leaderboards of these windows, and of later ones that look back on them.

    `interim`: it is known that none is final, inside a window that is still open.
    """
    slot = competition.slots("LEADERBOARD_RANKER")["LEADERBOARD_RANKER"]
    version, report, schedule = competition.score_version(), BoardReport(), store.schedule(competition)
    affected = _affected(competition, store, windows, version)
    final = set() if interim else _final_windows(competition, store, schedule, affected)
    for some in stretches(affected, WINDOWS_AT_ONCE):
        entries = store.boards.model_scores(some, version)
        ranked = {one: _rank(competition.pack, schedule, slot, one, entries[one.start]) for one in some}
        store.boards.put_leaderboards(ranked, version, final, {"schema": "1"})
        report.windows += len(some)
        report.final += len(final.intersection(some))
        newest = ranked[some[-1]]
        report.ranked, report.listed = sum(one["rank"] is not None for one in newest), len(newest)
    store.boards.show_version(version, competition.version_detail(), competition.pack.look_back)
    return report


def _rank(
    pack: Pack, schedule: Schedule, slot: Slot, window: Window, entries: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The eligible by the slot; below them, with the reason, those who are not."""
    unranked = {one["model_id"]: _unranked_because(pack, schedule, window, one) for one in entries}
    eligible = [entry for entry in entries if not unranked[entry["model_id"]]]
    ranked = slot(entries=eligible)
    if fault := ranking_fault(ranked, eligible):
        raise SlotFailure(f"{slot.at}: {fault}")
    rest = [
        entry | {"rank": None, "unranked_reason": unranked[entry["model_id"]]}
        for entry in entries
        if unranked[entry["model_id"]]
    ]
    return ranked + rest


def ranking_fault(ranked: Any, entries: Sequence[dict[str, Any]]) -> str | None:
    """What is wrong with what a ranker returned for these entries; None: nothing."""
    if not isinstance(ranked, list) or not all(isinstance(entry, dict) for entry in ranked):
        return "must return a list of entries"
    if sorted(str(one.get("model_id")) for one in ranked) != sorted(one["model_id"] for one in entries):
        return "must return every entry it was given, once"
    for entry in ranked:
        place = entry.get("rank")
        if place is not None and (not isinstance(place, int) or isinstance(place, bool) or place < 1):
            return f"rank of {entry['model_id']} is {place!r}, not 1, 2, … or None"
    return next((fault for entry in ranked if (fault := not_json(entry, entry["model_id"]))), None)


def _unranked_because(pack: Pack, schedule: Schedule, window: Window, entry: dict[str, Any]) -> str | None:
    payload = entry["score"]["payload"]
    if reason := schedule.orders.out(entry["model_id"], window.end):
        return reason
    # A model that never answers never wins, whatever the pack says.
    needed = max(1, pack.min_cycles)
    if payload["answered"] < needed:
        return f"answered {payload['answered']} cycles of the {needed} it takes"
    if payload["coverage"] is None or payload["coverage"] < pack.min_coverage:
        return f"answered {payload['answered']} of {payload['due']}: less than {pack.min_coverage:.0%}"
    return None


def _final_windows(
    competition: Competition, store: Store, schedule: Schedule, windows: Sequence[Window]
) -> set[Window]:
    """The windows at whose end every cycle of the look-back has ended."""
    grid, look_back = competition.windows, competition.pack.look_back
    ended = store.boards.ended_cycles(
        windows[0].end - look_back,
        windows[-1].end,
        grid.length,
        competition.truth_version(),
        competition.score_version(),
    )
    open_ends = []
    first = grid.at(max(windows[0].end - look_back, competition.start))
    while first.end <= windows[-1].end:
        if ended.get(first.end, 0) < schedule.resolvable(first):
            open_ends.append(first.end)
        first = grid.at(first.end)
    return {window for window in windows if not any(window.end - look_back < end <= window.end for end in open_ends)}
