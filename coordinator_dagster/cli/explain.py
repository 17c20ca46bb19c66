"""`coordinator explain`"""

import json
from collections.abc import Mapping
from contextlib import closing
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from coordinator_dagster.cli.console import console, printable
from coordinator_dagster.cli.moments import parse_moment
from coordinator_dagster.competition import read_competition
from coordinator_dagster.explain import explanation
from coordinator_dagster.store.store import open_as_it_stands

SHOWN = 300  # characters of an input, an answer or a truth
PRICES = {"performed_at": "price at the instant", "resolvable_at": "price at resolution"}
Record = Mapping[str, Any]


def explain(
    model: Annotated[str, typer.Argument(help="the model's id")],
    instant: Annotated[str, typer.Argument(help="the instant it was asked at, UTC, such as 2023-03-24T12:00Z")],
    config: Annotated[str | None, typer.Option(help="this config only; default: all that were due")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document, nothing shortened")] = False,
) -> None:
    """Show what a model was given, what it answered, what came true, and why its score is what it is."""
    competition = read_competition()
    with closing(open_as_it_stands(competition)) as store:
        found = explanation(competition, store, model, parse_moment("INSTANT", instant), config)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        print_explanation(found)


def print_explanation(found: Record) -> None:
    """Section by section: the model and its input, then each config that was due."""
    model = found["model"]
    _title(f"{model['id']} at {found['instant']}, competition {found['competition']}")
    for cycle in found["cycles"]:
        _title(f"{cycle['cycle']['config_id']}: {cycle['outcome']}")
    _section(
        "model",
        {
            "name": f"{model['name']}, of player {model['player_name']} ({model['player_id']})",
            "state now": _join(
                model["state"],
                model["state_reason"],
                _at("since", model["state_since"]),
                _at("until", model["state_until"]),
            ),
            "then": model["out_at_that_instant"],
            "joined": model["joined_at"],
            "deployment now": model["deployment"],
        },
    )
    _section("input", _input(found["input"]))
    for cycle in found["cycles"]:
        _cycle(cycle)


def _input(given: Record | None) -> Record:
    if given is None:
        return {"none": "no input has been built for that instant"}
    counts = ", ".join(f"{count} {name}" for name, count in given["counts"].items())
    return {
        "cut-off": f"{given['cut_off']}: what had arrived by then",
        "built at": given["built_at"],
        "size": _join(f"{given['bytes']} bytes", counts),
        **{f"newest of {name}": _short(item) for name, item in given["newest"].items()},
        "payload": _short(given["payload"], given["bytes"]),
    }


def _cycle(one: Record) -> None:
    cycle, truth, score = one["cycle"], one["truth"], one["score"]
    _section(
        f"cycle of {cycle['config_id']}",
        {
            "asked for": f"{cycle['scope_key'] or '-'} {_short(cycle['scope'])}",
            "status": _join(cycle["status"], cycle["reason"]),
            "predict was called with": _short(cycle["call"]),
            "resolvable at": cycle["resolvable_at"],
        },
    )
    _section("forecast", _forecast(one["forecast"]))
    _section("truth", _truth(truth))
    _section("score", _score(score))
    _section("superseded", _superseded(one["superseded"]))
    _section("in other versions", _others(one["other_versions"]))
    _section("first board that counts it", _board(one["board"]))
    _section("version", _version(one["version"]))


def _forecast(forecast: Record) -> Record:
    if forecast["status"] == "not asked":
        return {"status": f"not asked: {forecast['reason']}"}
    spent = None if forecast["exec_time_ms"] is None else f"{forecast['exec_time_ms']:.3f} ms in the model"
    queued = None if forecast["queued_ms"] is None else f"{forecast['queued_ms']:.3f} ms in our queues"
    return {
        "status": _join(forecast["status"], forecast["reason"]),
        "asked at": forecast["asked_at"] or "not at all",
        "suspended": _suspension(forecast["suspension"]),
        "answered at": _join(
            forecast["answered_at"] or "never", _after(forecast["seconds_after_cut_off"]), spent, queued
        ),
        "deadline": _join(forecast["deadline"], _after(forecast["deadline_seconds"])),
        "output": _short(forecast["output"]),
        "by deployment": forecast["deployment"],
        "as it came": forecast["raw"],
    }


def _suspension(suspension: Record | None) -> str | None:
    if suspension is None:
        return None
    what = "timeouts" if suspension["kind"] == "TIMEOUT" else "failures"
    after = f"after {suspension['since']}, the last of {suspension['instants']} {what} in a row"
    return f"{after}, until {suspension['until']}"


def _truth(truth: Record) -> Record:
    lines = {
        "status": _join(truth["status"], truth["reason"]),
        "content": _short(truth.get("content")),
        "from": "elsewhere, not from our tape" if truth.get("external") else None,
        "resolved at": truth.get("resolved_at"),
        "by order": _order(truth.get("order")),
        "version": truth.get("version"),
    }
    for one in truth["records"]:
        lines[PRICES[one["price_at"]]] = _join(lines.get(PRICES[one["price_at"]]), _record(one), by="\n")
    return lines


def _record(one: Record) -> str:
    where = f"{one['series']} at {one['moment']}: "
    record, before, gap = one["record"], one["last_before"], one["gap"]
    if record:
        lines = [f"{where}{_short(record['values'])} of {record['ts_event']}, known at {record['known_at']}"]
    else:
        last = f"the last before is of {before['ts_event']}" if before else "none before either"
        left = f"it has left the tape by age: see {one['archived_in']}" if one["archived_in"] else None
        lines = [f"{where}{left or f'no record; {last}'}"]
    if gap:
        lines.append(f"gap {gap['gap_start']} to {gap['gap_end']}: {gap['state']}, {gap['reason']}")
    lines += [f"restated {each['seen_at']} (does not count): {_short(each['values'])}" for each in one["restatements"]]
    lines += [
        f"corrected by order {each['id']} of {each['given_by']}, {each['given_at']}: {_short(each['values'])}; "
        f"{each['reason']}"
        for each in one["corrections"]
    ]
    return "\n".join(lines)


def _score(score: Record) -> Record:
    reason = (score["reason"] or "").removeprefix("CHARGED: ")
    lines = {"status": _join(score["status"], score.get("value"), reason)}
    if "due" in score:
        due = "was due" if score["due"] else "was not due"
        lines["counts as"] = f"{due}, {'answered' if score['answered'] else 'not answered'}"
        lines["scored at"] = score["scored_at"]
    if charge := score.get("charge"):
        answers = charge["answers_best_to_worst"]
        lines["rule"] = (
            f"{charge['rule']} = {charge['value_by_the_rule']} (missing {_short(charge['missing'])}, worst score "
            f"{charge['worst_score']}, direction {charge['score_direction']})"
        )
        lines["answers, best first"] = "\n".join(f"{one['value']}  {one['model_id']}" for one in answers) or "none"
    return lines


def _superseded(old: Record) -> Record:
    lines = {}
    for kind, what in (("truths", "content"), ("scores", "value")):
        for place, one in enumerate(old[kind], 1):
            counted = _join(one["status"], _short(one[what]), one["reason"])
            lines[f"{kind[:-1]} {place}"] = f"{counted}\nuntil {one['superseded_at']} by {_order(one['order'])}"
    return lines


def _others(others: Record) -> Record:
    lines = {f"truth {one['version']}": _join(one["status"], one["reason"]) for one in others["truths"]}
    return lines | {
        f"score {one['version']}": _join(one["status"], one["value"], one["reason"]) for one in others["scores"]
    }


def _board(board: Record | None) -> Record:
    if board is None:
        return {}
    place = f"rank {board['rank']}" if board.get("rank") else _join("unranked", board.get("unranked_reason"))
    pending = board["status"] == "pending"
    return {
        "window": f"{board['window_start']} to {board['window_end']}",
        "status": _join(board["status"], board.get("reason")),
        "place": None if pending else place,
    }


def _version(version: Record) -> Record:
    detail = version["detail"]
    return {
        "scores": _join(version["version"], "shown" if version["shown"] else "not the one that is shown"),
        "truths": detail["truth_version"],
        "slots": "\n".join(detail["slots"].values()),
        "rules": json.dumps(detail["rules"]),
    }


def _order(order: Record | None) -> str | None:
    if order is None:
        return None
    return f"order {order['id']} ({order['kind']}) of {order['given_by']}, {order['given_at']}: {order['reason']}"


def _title(text: str) -> None:
    console.print(Text(printable(text), "bold"), soft_wrap=True)


def _section(title: str, lines: Record) -> None:
    """A heading and its lines; those without anything to say are left out, and so is an empty section."""
    said = {label: str(text) for label, text in lines.items() if text not in (None, "")}
    if not said:
        return
    console.print(Text(f"\n{title}", "bold cyan"))
    table = Table.grid(padding=(0, 2, 0, 2))
    for label, text in said.items():
        table.add_row(Text(printable(label), "dim"), Text(printable(text)))
    console.print(table)


def _short(value: Any, size: int | None = None) -> str | None:
    """The value as JSON, cut; `size` in bytes is said where it was."""
    if value is None:
        return None
    text = json.dumps(value, ensure_ascii=False)
    if len(text) <= SHOWN:
        return text
    return f"{text[:SHOWN]}… ({size or len(text)} bytes; --json shows all)"


def _at(word: str, value: Any) -> str | None:
    return None if value is None else f"{word} {value}"


def _after(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds:.3f} s after the cut-off"


def _join(*parts: Any, by: str = ", ") -> str:
    return by.join(str(part) for part in parts if part not in (None, ""))
