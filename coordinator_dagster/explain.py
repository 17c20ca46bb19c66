"""What a model was given, what it answered, what came true and what that cost it: from what is stored."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from coordinator_dagster.competition import Competition
from coordinator_dagster.errors import UserError
from coordinator_dagster.faults import nearest
from coordinator_dagster.packs import Missing, SeriesSpec
from coordinator_dagster.schedule import Schedule
from coordinator_dagster.stages.resolve import GIVE_UP_AFTER
from coordinator_dagster.stages.score import charge
from coordinator_dagster.store.explain import Evidence
from coordinator_dagster.store.store import Store
from slots.market import Series
from slots.tape import boundary

MOST_NAMES = 10
Record = dict[str, Any]


@dataclass(frozen=True)
class _Case:
    """One model in one cycle."""

    competition: Competition
    evidence: Evidence
    schedule: Schedule
    model: Record
    cycle: Record


def explanation(
    competition: Competition, store: Store, model_id: str, instant: datetime, config: str | None = None
) -> Record:
    """Everything that is stored of a model at an instant, as plain JSON; with `config` of that config only.

    UserError, saying what there is, when there is no such model, config or cycle.
    """
    evidence, schedule = Evidence(store.database), store.schedule(competition)
    model = _model(evidence, model_id)
    cycles = _cycles(competition, evidence, schedule, instant, config)
    model["out_at_that_instant"] = schedule.orders.out(model_id, instant)
    found = {
        "competition": competition.settings.competition,
        "instant": instant,
        "model": model,
        "input": _input(evidence, instant),
        "cycles": [_explain(_Case(competition, evidence, schedule, model, cycle)) for cycle in cycles],
    }
    plain: Record = orjson.loads(orjson.dumps(found))
    return plain


def _model(evidence: Evidence, model_id: str) -> Record:
    if model := evidence.model(model_id):
        return model
    known = evidence.model_ids()
    more = f" and {len(known) - MOST_NAMES} more" if len(known) > MOST_NAMES else ""
    names = ", ".join(known[:MOST_NAMES]) + more or "none has been asked yet"
    raise UserError(f"MODEL={model_id}: there is no such model{nearest(model_id, known)}; the models are: {names}")


def _cycles(
    competition: Competition, evidence: Evidence, schedule: Schedule, instant: datetime, config: str | None
) -> list[Record]:
    if config and config not in (known := sorted({*schedule.configs(), *evidence.configs()})):
        raise UserError(f"--config={config}: there is no such config{nearest(config, known)}; use {', '.join(known)}")
    if cycles := evidence.cycles(instant, config):
        return cycles
    whose = f" of {config}" if config else ""
    near = " and ".join(moment.isoformat() for moment in evidence.neighbours(instant, config))
    why = f"there is no cycle{whose} then"
    if instant >= competition.start:
        due = schedule.due(competition.windows.at(instant))
        if any(t == instant and config in (None, one.id, one.id.split(".")[0]) for t, one in due):
            why = f"the cycle{whose} is due, but its window has not been run: materialize `predictions`"
    raise UserError(f"INSTANT={instant.isoformat()}: {why}; the nearest are {near or 'none: nothing has been run'}")


def _input(evidence: Evidence, instant: datetime) -> Record | None:
    """The instant's input with the length and the newest item of each list in it."""
    given = evidence.given(instant)
    if given is None:
        return None
    lists = {name: value for name, value in given["payload"].items() if isinstance(value, list) and value}
    return given | {
        "counts": {name: len(items) for name, items in lists.items()},
        "newest": {name: _newest(items) for name, items in lists.items()},
    }


def _newest(items: list[Any]) -> Any:
    """The item with the highest `ts`; where that is not how they are told apart, the last."""
    if all(isinstance(one, dict) and isinstance(one.get("ts"), int | float) for one in items):
        return max(items, key=lambda one: one["ts"])
    return items[-1]


def _explain(case: _Case) -> Record:
    evidence, cycle, model_id = case.evidence, case.cycle, case.model["id"]
    scores = evidence.scores(cycle, model_id)
    version = _version(case, scores[0]["version"] if scores else None)
    truths = evidence.truths(cycle)
    forecast, truth = _forecast(case), _truth(case, truths, version)
    score = _score(case, scores, forecast, truth, version)
    return {
        "outcome": _outcome(cycle, forecast, truth, score),
        "cycle": cycle,
        "forecast": forecast,
        "truth": truth,
        "score": score,
        "board": _board(case, version) if score["status"] != "none" else None,
        "superseded": evidence.superseded(cycle, model_id),
        "other_versions": {
            "truths": [one for one in truths if one["version"] != version["detail"]["truth_version"]],
            "scores": [one for one in scores if one["version"] != version["version"]],
        },
        "version": version,
    }


def _version(case: _Case, scored: str | None) -> Record:
    """The version of the model's score; without one the version shown, or else what would be scored by now."""
    if found := case.evidence.version(scored):
        return found
    competition = case.competition
    return {
        "version": scored or competition.score_version(),
        "shown": False,
        "first_used_at": None,
        "detail": competition.version_detail(),
    }


def _forecast(case: _Case) -> Record:
    cycle = case.cycle
    found = case.evidence.forecast(cycle, case.model["id"])
    if found is None:
        return {"status": "not asked", "reason": _not_asked(case)}
    answered, by = found["answered_at"], cycle["answer_by"]
    after = {"seconds_after_cut_off": None, "deadline": by, "deadline_seconds": None}
    if cycle["cut_off"]:
        after["seconds_after_cut_off"] = (answered - cycle["cut_off"]).total_seconds() if answered else None
        after["deadline_seconds"] = (by - cycle["cut_off"]).total_seconds() if by else None
    return found | after


def _not_asked(case: _Case) -> str:
    cycle, model = case.cycle, case.model
    if cycle["status"] != "PERFORMED":
        return f"nobody was: the cycle is {cycle['status']}: {cycle['reason']}"
    if out := case.schedule.orders.out(model["id"], cycle["performed_at"]):
        return out
    if model["joined_at"] is None or model["joined_at"] > cycle["performed_at"]:
        joined = f"with the cycle of {model['joined_at'].isoformat()}" if model["joined_at"] else "with no cycle yet"
        return f"it joined later, {joined}, and owes nothing before"
    return "no forecast is stored, though it had joined and was not out; that is a fault of ours"


def _truth(case: _Case, truths: list[Record], version: Record) -> Record:
    """The truth of that version, or why there is none yet; with the records that the market's prices rest on."""
    cycle = case.cycle
    if cycle["status"] != "PERFORMED":
        return {"status": "none", "reason": f"the cycle is {cycle['status']}", "records": []}
    config = case.schedule.configs().get(cycle["config_id"])
    series = case.competition.pack.series_of(config) if config else []
    records = _records(case, series[0]) if series else []
    wanted = version["detail"]["truth_version"]
    if found := next((one for one in truths if one["version"] == wanted), None):
        return found | {"records": records}
    return {"status": "pending", "reason": _pending(case, series, records), "version": wanted, "records": records}


def _pending(case: _Case, series: list[SeriesSpec], records: list[Record]) -> str:
    needed = case.cycle["resolvable_at"]
    until = (needed + GIVE_UP_AFTER).isoformat()
    if not series:
        return (
            f"it comes from elsewhere: asked for from {needed.isoformat()} until {until}, whenever "
            "`ground_truths` is materialized"
        )
    short = [
        f"{one} is complete through {through.isoformat() if through else 'nothing'} only"
        for spec in series
        for one, through in case.evidence.listed(spec.asset, spec.kind, spec.granularity)
        if through is None or through < needed
    ]
    if short or not records:
        return f"{', '.join(short) or 'nothing is on the tape'}; the truth needs {needed.isoformat()}"
    missing = [f"{one['series']} at {one['moment'].isoformat()}" for one in records if one["record"] is None]
    if missing:
        return f"no price of {' and '.join(missing)}; what comes until {until} counts"
    return "its data are complete: it comes when `ground_truths` is materialized"


def _records(case: _Case, spec: SeriesSpec) -> list[Record]:
    """The records that hold the price at the instant and at its resolution, at every provider on the tape."""
    moments = {name: case.cycle[name] for name in ("performed_at", "resolvable_at")}
    return [
        _record(case.evidence, series, name, moment)
        for series, _ in case.evidence.listed(spec.asset, spec.kind, spec.granularity)
        for name, moment in moments.items()
    ]


def _record(evidence: Evidence, series: Series, name: str, moment: datetime) -> Record:
    last = evidence.last_record(series, moment)
    end = boundary(moment, series.step) if series.step else None
    there = last is not None and end in (None, last["event_end"])
    ts_event = last["ts_event"] if last and there else end - series.step if end else None
    return {
        "price_at": name,
        "moment": moment,
        "series": str(series),
        "record": last if there else None,
        "last_before": None if there else last,
        "gap": None if there or ts_event is None else evidence.gap(series, ts_event),
        "archived_in": None if there else evidence.archived_in(series, ts_event or moment),
        "restatements": evidence.restatements(series, ts_event) if ts_event else [],
        "corrections": evidence.corrections(series, ts_event) if ts_event else [],
    }


def _score(case: _Case, scores: list[Record], forecast: Record, truth: Record, version: Record) -> Record:
    if forecast["status"] == "not asked":
        return {"status": "none", "reason": "it was not asked"}
    if not scores:
        ready = truth["status"] in ("RESOLVED", "VOID")
        why = "the truth is there: it comes when `scores` is materialized" if ready else "it waits for the truth"
        return {"status": "pending", "reason": why}
    own = scores[0]
    return own | {"charge": _charge(case, version)} if own["status"] == "CHARGED" else own


def _charge(case: _Case, version: Record) -> Record:
    """The rule as that version had it, and what it gives on the answers of the cycle."""
    rules = version["detail"]["rules"]
    lower_is_better = rules["score_direction"] == "asc"
    answers = case.evidence.answered_scores(case.cycle, version["version"])
    answers.sort(key=lambda one: one["value"] if lower_is_better else -one["value"])
    as_then = {
        "missing": Missing.model_validate(rules["missing"]),
        "worst_score": rules["worst_score"],
        "score_direction": rules["score_direction"],
    }
    value, rule = charge(case.competition.pack.model_copy(update=as_then), [one["value"] for one in answers])
    return {
        "rule": rule,
        "value_by_the_rule": value,
        "missing": rules["missing"],
        "worst_score": rules["worst_score"],
        "score_direction": rules["score_direction"],
        "answers_best_to_worst": answers,
    }


def _board(case: _Case, version: Record) -> Record:
    """The first board that counts the cycle: that of the window which its resolution falls in."""
    window = case.competition.windows.resolving(case.cycle["resolvable_at"])
    span = {"window_start": window.start, "window_end": window.end}
    found = case.evidence.board(window.start, version["version"], case.model["id"])
    if found is None:
        return span | {"status": "pending", "reason": "its window has no board in this version yet"}
    entry = found.pop("entry") or {}
    shown = {"rank": entry.get("rank"), "unranked_reason": entry.get("unranked_reason"), "score": entry.get("score")}
    return span | {"status": "final" if found["final"] else "interim"} | found | shown


def _outcome(cycle: Record, forecast: Record, truth: Record, score: Record) -> str:
    """In one line, what became of it."""
    if cycle["status"] != "PERFORMED":
        return f"{cycle['status']}: {cycle['reason']}"
    if forecast["status"] == "not asked":
        return f"not asked: {forecast['reason']}"
    if score["status"] == "pending":
        return f"pending: {truth['reason'] if truth['status'] == 'pending' else score['reason']}"
    if score["status"] == "SCORED":
        return f"SCORED {score['value']}"
    if score["status"] == "CHARGED":
        return f"CHARGED {score['value']}: {score['reason'].removeprefix('CHARGED: ')}"
    return f"{score['status']}: {score['reason']}"
