"""An independent brute-force computation of what a replay over one candle tape must store.

It imports nothing of the project: it was written from DESIGN.md alone, and a test compares its frames with
the tables row for row. Frames are sorted, of dtype object: datetimes are aware UTC, a missing value is None.

Where the design leaves a choice, this file takes these:
 1. The tape is the whole file, wherever `end` lies: a cycle with t < end < resolvable_at <= the tape's end
    has a truth. The provider and the asset come from the file's name.
 2. `resolve_after_seconds`, when the schedule has it, is stronger than the scope's horizon.
 3. Inactive configs have no cycles. Windows are hours.
 4. `asof_ts` is the instant t (not the last candle's time); `symbol` is the asset ('BTC').
 5. The last 120 candles are records: across an outage they reach further back than two hours.
 6. A cycle without a truth row has no score rows, whatever its forecasts' status (PLATFORM_FAULT too).
 7. A SUCCESS forecast whose score is not a finite number within 1e300 is CHARGED: it counts as answered,
    but is not among the answered scores that the percentile looks at.
 8. Due is every forecast whose cycle has a truth, not VOID, unless the platform was at fault: under `skip` too,
    where what a model missed is EXEMPT but counts against its coverage.
 9. A board lists every model that has a forecast of an instant before the board's `now`.
10. A mean is one fsum over all values, divided by their number. Adding the rollups' sums rounds once more,
    so compare means with a relative tolerance of 1e-12.
11. `final` of a window without any cycle in its look-back is true: nothing is open.
"""

import json
import math
import sys
from bisect import bisect_right
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

HOUR = timedelta(hours=1)
CANDLES = 120  # FEED_CANDLES_WINDOW
METRICS = {"recent": 24, "steady": 72, "anchor": 168}  # hours
CHARGEABLE = {"FAILED", "TIMEOUT", "LATE", "ABSENT", "SUSPENDED"}
STATUSES = CHARGEABLE | {"SUCCESS", "PLATFORM_FAULT"}

COLUMNS = {
    name: names.split()
    for name, names in {
        "cycles": "prediction_config_id performed_at resolvable_at window_start status scope_key cut_off",
        "inputs": "performed_at symbol asof_ts candles",
        "truths": "prediction_config_id performed_at resolvable_at status entry_price resolved_price return "
        "y_up resolved_market_time source asset",
        "scores": "model_id prediction_config_id performed_at status score_value",
        "boards": "window_start computed_at model_id recent steady anchor rank due answered",
        "final": "window_start final",
    }.items()
}


def unix(moment: datetime) -> int:
    assert moment.tzinfo is not None, f"{moment} is naive"
    assert moment.microsecond == 0, f"{moment} is not a whole second"
    return int(moment.timestamp())


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def read_tape(tape_csv: Path) -> list[dict]:
    """The candles in order; `ts` is the open time in Unix seconds. Every digit of the file counts."""
    tape = []
    for row in pd.read_csv(tape_csv, dtype=str).to_dict("records"):
        prices = {name: float(row[name]) for name in ("open", "high", "low", "close", "volume")}
        tape.append({"ts": unix(datetime.fromisoformat(row["ts_event"])), **prices})
    assert all(a["ts"] < b["ts"] for a, b in pairwise(tape)), "the tape is not in order"
    return tape


def make_cycles(pack: dict, start: datetime, end: datetime, tape_end: int) -> list[dict]:
    """Every instant of every config in [start, end): performed if the tape knows through it."""
    cycles = []
    for config in [c for c in pack["scheduled_prediction_configs"] if c.get("active", True)]:
        schedule, template = config["schedule"], config["scope_template"]
        every = schedule.get("every_seconds") or schedule["prediction_interval_seconds"]
        wait = schedule.get("resolve_after_seconds") or template["horizon_seconds"]
        for t in [t for t in range(unix(start), unix(end)) if t % every == 0]:
            row = {"prediction_config_id": config["id"], "asset": template["asset"]}
            row |= {"performed_at": at(t), "resolvable_at": at(t + wait), "window_start": at(t - t % 3600)}
            row |= {"status": "planned", "scope_key": None, "cut_off": None}
            if t <= tape_end:
                cut_off = at(t) + timedelta(seconds=pack.get("input_wait_seconds", 1))
                row |= {"status": "PERFORMED", "scope_key": config["scope_key"], "cut_off": cut_off}
            cycles.append(row)
    return sorted(cycles, key=lambda c: (c["performed_at"], c["prediction_config_id"]))


def make_inputs(cycles: list[dict], tape: list[dict], asset: str) -> list[dict]:
    """One row per performed instant: the last candles that were over by then."""
    closes = [candle["ts"] + 60 for candle in tape]
    inputs = []
    for performed_at in sorted({c["performed_at"] for c in cycles if c["status"] == "PERFORMED"}):
        t = unix(performed_at)
        over = bisect_right(closes, t)  # this many candles have open + 60 s <= t
        candles = tape[max(0, over - CANDLES) : over]
        inputs.append({"performed_at": performed_at, "symbol": asset, "asof_ts": t, "candles": candles})
    return inputs


def make_truths(cycles: list[dict], tape: list[dict], provider: str, tape_end: int) -> list[dict]:
    """One row per performed cycle that the tape reaches: its two prices, or VOID where one has no candle."""
    close_price = {candle["ts"] + 60: candle["close"] for candle in tape}  # by the candle's close time
    truths = []
    for cycle in cycles:
        if cycle["status"] != "PERFORMED" or unix(cycle["resolvable_at"]) > tape_end:
            continue
        t, resolvable = unix(cycle["performed_at"]), unix(cycle["resolvable_at"])
        entry = close_price.get(t - t % 60)
        resolved_close = resolvable - resolvable % 60
        resolved = close_price.get(resolved_close)
        row = {name: cycle.get(name) for name in COLUMNS["truths"]} | {"asset": None, "status": "VOID"}
        if entry is not None and resolved is not None:
            row |= {"status": "RESOLVED", "entry_price": entry, "resolved_price": resolved}
            row |= {"return": resolved / entry - 1, "y_up": resolved / entry - 1 > 0}
            row |= {"source": provider, "asset": cycle["asset"]}
            row |= {"resolved_market_time": at(resolved_close).isoformat()}
        truths.append(row)
    return truths


def score_answer(output: object, actual: float) -> float | None:
    """Minus the absolute error in basis points; None when that is not a number that may be stored."""
    value = output.get("value") if isinstance(output, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    score = -abs(value - actual) * 10_000
    return score if math.isfinite(score) and abs(score) <= 1e300 else None


def charge(answered: list[float], pack: dict) -> float:
    """What a missing answer costs in a cycle that has these answered scores."""
    rule = pack.get("missing") or {"rule": "percentile", "percentile": 90}
    if rule["rule"] == "worst" or len(answered) < 3:
        return float(pack["worst_score"])
    best_first = sorted(answered, reverse=pack["score_direction"] == "desc")
    rank = math.ceil(rule.get("percentile", 90) * len(best_first) / 100)
    return best_first[max(rank, 1) - 1]


def read_forecasts(forecasts: pd.DataFrame, cycles: list[dict]) -> dict[tuple, list[dict]]:
    """The stored forecasts by cycle (t, config); anything that no performed cycle asked for is an error."""
    performed = {(c["performed_at"], c["prediction_config_id"]) for c in cycles if c["status"] == "PERFORMED"}
    by_cycle, seen = defaultdict(list), set()
    for row in forecasts.to_dict("records"):
        moment = pd.Timestamp(row["performed_at"]).to_pydatetime()
        assert moment.tzinfo is not None, f"performed_at {moment} is naive"
        key = (moment.astimezone(UTC), row["prediction_config_id"])
        assert key in performed, f"a forecast of a cycle that was never performed: {row}"
        assert row["status"] in STATUSES, f"unknown status: {row}"
        assert (*key, row["model_id"]) not in seen, f"two forecasts of one model in one cycle: {row}"
        seen.add((*key, row["model_id"]))
        by_cycle[key].append(row)
    return by_cycle


def make_scores(truths: list[dict], by_cycle: dict[tuple, list[dict]], pack: dict) -> list[dict]:
    """A row per forecast of every cycle that has a truth. Its `due`, `answered`, `resolvable_at` are for boards."""
    skip = (pack.get("missing") or {}).get("rule") == "skip"
    scores = []
    for truth in truths:
        rows = by_cycle.get((truth["performed_at"], truth["prediction_config_id"]), [])
        void = truth["status"] == "VOID"
        own = {}  # model -> score of its own answer
        for row in rows:
            value = score_answer(row["output"], truth["return"]) if not void else None
            if row["status"] == "SUCCESS" and value is not None:
                own[row["model_id"]] = value
        for row in sorted(rows, key=lambda r: r["model_id"]):
            if row["model_id"] in own:
                status, value = "SCORED", own[row["model_id"]]
            elif void or skip or row["status"] == "PLATFORM_FAULT":
                status, value = "EXEMPT", None
            else:
                status, value = "CHARGED", charge(list(own.values()), pack)
            scored = {name: truth[name] for name in ("prediction_config_id", "performed_at", "resolvable_at")}
            scored |= {"model_id": row["model_id"], "status": status, "score_value": value}
            due = not void and row["status"] != "PLATFORM_FAULT"
            scores.append(scored | {"due": due, "answered": due and row["status"] == "SUCCESS"})
    return scores


def board(window_start: datetime, models: list[str], scores: list[dict], pack: dict) -> list[dict]:
    """The board of one window: means over SCORED and CHARGED, coverage over what was due."""
    now = window_start + HOUR
    entries = []
    for model in models:
        mine = [s for s in scores if s["model_id"] == model and s["resolvable_at"] <= now]
        entry = {"window_start": window_start, "computed_at": now, "model_id": model, "rank": None}
        for metric, hours in METRICS.items():
            counted = [s for s in mine if s["status"] != "EXEMPT" and s["resolvable_at"] > now - hours * HOUR]
            entry[metric] = math.fsum(s["score_value"] for s in counted) / len(counted) if counted else None
        since = now - pack.get("look_back_hours", 168) * HOUR
        due = [s["answered"] for s in mine if s["due"] and s["resolvable_at"] > since]
        entry["due"], entry["answered"] = len(due), sum(due)
        entries.append(entry)

    def qualifies(entry: dict) -> bool:
        if entry["anchor"] is None or entry["answered"] < pack["min_cycles"]:
            return False
        return entry["due"] > 0 and entry["answered"] / entry["due"] >= pack["min_coverage"]

    sign = -1 if pack["score_direction"] == "desc" else 1
    ranked = [e for e in entries if qualifies(e)]
    for entry in ranked:
        entry["rank"] = 1 + sum(sign * other["anchor"] < sign * entry["anchor"] for other in ranked)
    return sorted(entries, key=lambda e: (e["rank"] is None, e["rank"] or 0, e["model_id"]))


def expected(
    tape_csv: Path, pack: dict, start: datetime, end: datetime, forecasts: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """The tables of a competition over [start, end) whose models answered `forecasts`."""
    assert unix(start) % 3600 == 0 and unix(end) % 3600 == 0, "start and end are hours"
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    provider, asset = Path(tape_csv).name.split("_")[:2]
    tape = read_tape(Path(tape_csv))
    tape_end = tape[-1]["ts"] + 60
    cycles = make_cycles(pack, start, end, tape_end)
    assert all(c["asset"] == asset for c in cycles), f"the pack asks for an asset that is not {asset}"
    truths = make_truths(cycles, tape, provider, tape_end)
    by_cycle = read_forecasts(forecasts, cycles)
    scores = make_scores(truths, by_cycle, pack)
    joined = {}  # model -> the instant of its first forecast
    for (t, _), model in sorted((key, row["model_id"]) for key, rows in by_cycle.items() for row in rows):
        joined.setdefault(model, t)

    ended = {(truth["performed_at"], truth["prediction_config_id"]) for truth in truths}
    boards, final = [], []
    for window_start in map(at, range(unix(start), unix(end), 3600)):
        now = window_start + HOUR
        boards += board(window_start, sorted(m for m, t in joined.items() if t < now), scores, pack)
        since = now - pack.get("look_back_hours", 168) * HOUR
        counted = [c for c in cycles if since < c["resolvable_at"] <= now]
        done = all((c["performed_at"], c["prediction_config_id"]) in ended for c in counted)
        final.append({"window_start": window_start, "final": done})

    inputs = make_inputs(cycles, tape, asset)
    tables = dict(zip(COLUMNS, (cycles, inputs, truths, scores, boards, final), strict=True))
    return {
        name: pd.DataFrame([[row[c] for c in columns] for row in tables[name]], columns=columns, dtype=object)
        for name, columns in COLUMNS.items()
    }


def fabricate(tape_csv: Path, pack: dict, start: datetime, end: datetime) -> pd.DataFrame:
    """Five models: zero and its twin (a tie), noise, one that fails at times, one that never answers."""
    random = np.random.default_rng(7)
    rows = []
    for cycle in make_cycles(pack, start, end, read_tape(tape_csv)[-1]["ts"] + 60):
        flaky = 1e-4 if random.random() < 0.8 else None
        answers = {"zero": 0.0, "twin": 0.0, "noise": random.normal(0, 1e-3), "flaky": flaky, "silent": None}
        for model, value in answers.items():
            row = {name: cycle[name] for name in ("prediction_config_id", "performed_at")}
            row |= {"model_id": model, "status": "ABSENT", "output": None}
            if value is not None:
                row |= {"status": "SUCCESS", "output": {"value": float(value)}}
            if cycle["status"] == "PERFORMED":
                rows.append(row)
    return pd.DataFrame(rows)


def check_by_hand(frames: dict[str, pd.DataFrame], found: dict[str, list[str]]) -> None:
    """Set A, BTC, 2023-03-23 to 2023-03-26: no candle opens at 12:40-13:59 of the 24th, so none closes at
    12:41-14:00. VOID are exactly the cycles with t or t + horizon among those closes."""
    minutes = [f"12:{m}" for m in range(40, 60)] + [f"13:{m:02}" for m in range(60)] + ["14:00"]
    quarters = ["12:30", "12:45", "13:00", "13:15", "13:30", "13:45", "14:00"]
    by_hand = {"btc-60s": minutes, "btc-in-sample": minutes[::5], "btc-out-of-sample": quarters}
    configs = set(frames["cycles"]["prediction_config_id"])
    assert found == {config: [f"24T{time}" for time in by_hand[config]] for config in configs}, found
    newest = frames["inputs"].iloc[0]["candles"][-1]  # opened at 2023-03-22T23:59Z; see the CSV
    assert newest["ts"] == 1679529540 and newest["volume"] == 46.57493
    first = frames["truths"].iloc[0]
    assert first["entry_price"] == newest["close"] == 27250.97
    if first["prediction_config_id"] == "btc-60s":
        assert (first["resolved_price"], first["resolved_market_time"][11:]) == (27250.01, "00:01:00+00:00")
    print("as computed by hand")


if __name__ == "__main__":  # oracle.py CSV PACK 2023-03-23T00:00Z 2023-03-26T00:00Z
    csv, start, end = Path(sys.argv[1]), *map(datetime.fromisoformat, sys.argv[3:5])
    pack = json.loads(Path(sys.argv[2]).read_text())
    frames = expected(csv, pack, start, end, fabricate(csv, pack, start, end))
    for name, frame in frames.items():
        kinds = frame.get("status", frame.get("final", pd.Series()))
        print(f"{name:8} {len(frame):7}", kinds.value_counts().to_dict())
    print(frames["boards"].tail(5).to_string(index=False))
    found = {}
    for row in frames["truths"].query("status == 'VOID'").to_dict("records"):
        found.setdefault(row["prediction_config_id"], []).append(f"{row['performed_at']:%dT%H:%M}")
    print("VOID", {config: (len(times), times[0], times[-1]) for config, times in found.items()})
    if (csv.name[:11], f"{start:%F} {end:%F}") == ("binance_BTC", "2023-03-23 2023-03-26"):
        check_by_hand(frames, found)
