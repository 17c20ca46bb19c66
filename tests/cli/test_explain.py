"""`coordinator explain`: every item of a dispute, as text and as JSON."""

import json

import pytest

from coordinator_dagster.competition import Competition
from coordinator_dagster.runtime import open_runtime
from coordinator_dagster.store.store import open_store
from slots.market import utc
from tests.cli.explaining import AT, IN, INSTANT, MODEL, OUT, START, Explain, Make, WriteModel, explain, run


@pytest.fixture
def played(competition: Make, model_folder: WriteModel) -> Competition:
    """An hour of the tournament: three models that answer, and one that never does."""
    for place, name in enumerate(("good", "fair", "poor")):
        folder = model_folder(name, MODEL.format(f"return {{'value': {0.01 * place}}}"))
    model_folder("broken", MODEL.format(r"raise RuntimeError('[red]\x1b[31mno idea')"))
    made = competition(pack="tournament", models_dir=folder, competition_end="2026-01-05T01:00Z")
    run(made)
    return made


def test_a_charge_is_explained_down_to_the_rule(played: Competition, typed: Explain) -> None:
    code, text, _ = typed("broken", INSTANT, "--json")
    found = json.loads(text)
    assert code == 0
    assert found == explain(played, "broken", AT)
    assert [one["cycle"]["config_id"] for one in found["cycles"]] == [IN, OUT]
    model, one = found["model"], found["cycles"][0]
    assert (model["id"], model["player_name"], model["state"], model["joined_at"]) == (
        "broken", "broken", "suspended", START.isoformat()
    )  # fmt: skip
    assert model["deployment"]

    forecast, score = one["forecast"], one["score"]
    assert forecast["status"] == "FAILED"
    assert "no idea" in forecast["reason"]
    assert forecast["answered_at"] is forecast["seconds_after_cut_off"] is forecast["output"] is None
    assert forecast["deadline_seconds"] == 30
    assert (score["status"], score["due"], score["answered"]) == ("CHARGED", True, False)
    charge = score["charge"]
    assert [each["model_id"] for each in charge["answers_best_to_worst"]] == ["good", "fair", "poor"]
    assert charge["value_by_the_rule"] == score["value"] == charge["answers_best_to_worst"][2]["value"]
    assert charge["rule"] == "the 90th percentile of 3 answers"
    assert charge["missing"] == {"rule": "percentile", "percentile": 90}
    assert one["outcome"] == f"CHARGED {score['value']}: FAILED, the 90th percentile of 3 answers"

    code, text, _ = typed("broken", INSTANT)
    assert code == 0
    assert r"[red]\x1b[31mno idea" in text, "what a model says must neither style nor steer the terminal"
    for line in (
        one["outcome"],
        "the 90th percentile of 3 answers = ",
        "never",
        "answers, best first",
        f"cycle of {OUT}",
    ):
        assert line in text
    assert IN not in typed("broken", INSTANT, "--config", OUT)[1]


def test_a_score_is_explained_with_its_input_truth_versions_and_board(played: Competition, typed: Explain) -> None:
    found = explain(played, "fair", AT, IN)
    (one,) = found["cycles"]
    cycle, forecast, truth, score = one["cycle"], one["forecast"], one["truth"], one["score"]
    given = found["input"]
    assert given["cut_off"] == cycle["cut_off"] == forecast["asked_at"] == "2026-01-05T00:15:01+00:00"
    assert given["counts"] == {"candles_1m": 120}
    assert given["newest"]["candles_1m"] == given["payload"]["candles_1m"][-1]
    assert given["newest"]["candles_1m"]["ts"] == int(AT.timestamp()) - 60
    assert given["bytes"] > 10_000
    assert given["built_at"]
    assert (cycle["status"], cycle["resolvable_at"]) == ("PERFORMED", "2026-01-05T00:20:00+00:00")
    assert forecast["status"] == "SUCCESS"
    assert forecast["output"] == {"value": 0.01}
    assert forecast["exec_time_ms"] >= 0 and forecast["queued_ms"] >= 0
    assert 0 < forecast["seconds_after_cut_off"] < forecast["deadline_seconds"] == 30

    assert (truth["status"], truth["external"], truth["order"]) == ("RESOLVED", False, None)
    assert truth["resolved_at"]
    before, after = truth["records"]
    assert (before["price_at"], after["price_at"]) == ("performed_at", "resolvable_at")
    assert before["record"]["values"]["close"] == truth["content"]["entry_price"]
    assert after["record"]["values"]["close"] == truth["content"]["resolved_price"]
    assert before["record"]["known_at"] == "2026-01-05T00:15:00+00:00"
    assert after["record"]["event_end"] == cycle["resolvable_at"]

    assert score["status"] == "SCORED"
    assert score["value"] == pytest.approx(-abs(0.01 - truth["content"]["return"]) * 10_000)
    assert "charge" not in score
    version = one["version"]
    assert version["shown"] is True
    assert version["version"] == score["version"]
    assert version["detail"]["truth_version"] == truth["version"]
    assert "slots.defaults:score_prediction" in version["detail"]["slots"]["SCORING_FUNCTION"]
    board = one["board"]
    assert (board["window_start"], board["status"], board["rank"]) == ("2026-01-05T00:00:00+00:00", "final", None)
    assert board["unranked_reason"] == "answered 16 cycles of the 30 it takes"
    assert one["superseded"] == one["other_versions"] == {"truths": [], "scores": []}
    text = typed("fair", INSTANT, "--config", IN)[1]
    for part in (
        f"{IN}: SCORED {score['value']}",
        "120 candles_1m",
        "--json shows all",
        truth["version"],
        "30 it takes",
    ):
        assert part in text


def test_a_tick_is_shown_as_the_price_it_gave(competition: Make, typed: Explain) -> None:
    made = competition(pack="realtime", competition_end="2026-01-05T01:00Z")
    run(made)
    found = explain(made, "trend_following", AT)
    assert found["input"]["counts"] == {"candles_1m": 120, "ticks": 120}
    assert found["input"]["newest"]["ticks"]["ts"] == AT.timestamp()
    truth = found["cycles"][0]["truth"]
    before, after = truth["records"]
    assert before["series"] == "simulated/BTC/tick/1s"
    assert before["record"]["values"] == {"price": truth["content"]["entry_price"]}
    assert after["record"]["ts_event"] == found["cycles"][0]["cycle"]["resolvable_at"]
    assert "price at resolution" in typed("trend_following", INSTANT)[1]


def test_what_was_superseded_restated_and_corrected_is_shown(
    played: Competition, typed: Explain, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = explain(played, "fair", AT, IN)["cycles"][0]
    record = before["truth"]["records"][1]["record"]
    values = record["values"] | {"close": record["values"]["close"] * 2}
    with open_runtime(played) as runtime:
        store, database = runtime.store, runtime.store.database
        with database.transaction() as connection:
            database.copy(
                connection,
                "market_restatements",
                ("provider", "asset", "kind", "granularity", "ts_event", "values_jsonb", "first_values_jsonb"),
                [("simulated", "BTC", "candle", "1m", utc(record["ts_event"]), values, record["values"])],
            )
            detail = {"series": "simulated/BTC/candle/1m", "values": values, "first_values": record["values"]}
            order = store.orders.give(
                connection, "correct", utc(record["ts_event"]), "the venue was wrong", "olga", detail=detail
            )
            store.orders.supersede(connection, order, IN, AT, AT, START)
        pending = explain(played, "fair", AT, IN)["cycles"][0]
        run(played)
    assert pending["outcome"] == "pending: its data are complete: it comes when `ground_truths` is materialized"
    one = explain(played, "fair", AT, IN)["cycles"][0]
    assert one["truth"]["content"]["resolved_price"] == values["close"]
    after = one["truth"]["records"][1]
    assert after["record"]["values"] == record["values"], "the first record stays"
    assert after["restatements"][0]["values"] == values
    (correction,) = after["corrections"]
    assert (correction["given_by"], correction["reason"], correction["values"]) == (
        "olga", "the venue was wrong", values
    )  # fmt: skip
    (old_truth,), (old_score,) = one["superseded"]["truths"], one["superseded"]["scores"]
    assert old_truth["content"] == before["truth"]["content"]
    assert old_score["value"] == before["score"]["value"] != one["score"]["value"]
    assert old_truth["order"]["reason"] == old_score["order"]["reason"] == "the venue was wrong"
    text = typed("fair", INSTANT, "--config", IN)[1]
    assert f"by order {order} (correct) of olga" in text
    assert "restated" in text

    monkeypatch.setenv("SLOT_VERSION", "2")
    code, shown, _ = typed("fair", INSTANT, "--config", IN)
    assert code == 0
    assert "in other versions" not in shown, "the version shown is still the old one"


def test_unknown_names_get_the_nearest(played: Competition, typed: Explain) -> None:
    code, _, error = typed("goood", INSTANT)
    assert code == 1
    assert error == (
        "error: MODEL=goood: there is no such model (did you mean good?); the models are: broken, fair, good, poor\n"
    )
    code, _, error = typed("good", "2026-01-05T00:17Z")
    assert code == 1
    assert error == (
        "error: INSTANT=2026-01-05T00:17:00+00:00: there is no cycle then; the nearest are "
        "2026-01-05T00:15:00+00:00 and 2026-01-05T00:20:00+00:00\n"
    )
    code, _, error = typed("good", "2026-01-05T00:20Z", "--config", OUT)
    assert (code, error) == (
        1,
        f"error: INSTANT=2026-01-05T00:20:00+00:00: there is no cycle of {OUT} then; the nearest are "
        "2026-01-05T00:15:00+00:00 and 2026-01-05T00:30:00+00:00\n",
    )
    assert (
        "(did you mean btc-in-sample?); use btc-in-sample, btc-out"
        in typed("good", INSTANT, "--config", "in-sample")[2]
    )
    assert "INSTANT=noon: " in typed("good", "noon")[2]
    store = open_store(played)
    with store.database.transaction() as connection:
        store.orders.give(connection, "disqualify", AT, "copied", "olga", model_id="poor")
    store.close()
    model = explain(played, "poor", AT)["model"]
    assert (model["state"], model["state_reason"]) == ("disqualified", "copied")
    assert model["out_at_that_instant"] == "disqualified: copied"
