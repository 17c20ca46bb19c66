"""The audit sees each broken rule, and nothing where none is broken."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from coordinator_dagster.audit import audit, audit_connection
from coordinator_dagster.audit.queries import NAMES, RULES, Violation, parse_query, read_queries
from coordinator_dagster.competition import Competition
from coordinator_dagster.errors import UserError
from coordinator_dagster.replay import replay
from coordinator_dagster.runtime import open_runtime
from tests.audit.conftest import Clean
from tests.audit.seeds import RULES_1_TO_3, RULES_4_TO_7, Seed
from tests.audit.seeds_of_retention import RETENTION
from tests.audit.seeds_of_settling import RULES_8_AND_9, RULES_11_AND_12, RULES_13_TO_15

SEEDS = [*RULES_1_TO_3, *RULES_4_TO_7, *RULES_8_AND_9, *RULES_11_AND_12, *RULES_13_TO_15, *RETENTION]
PROMISED = {1, 2, 3, 5, 6, 7, 9, 11, 12, 13, 14, 15}


def audited_after(clean: Clean, sql: str) -> list[Violation]:
    """What the audit finds once this has been done to the tables; it is undone again."""
    with clean.runtime.store.database.engine.connect() as connection:
        # Past triggers and foreign keys, which keep such rows out.
        connection.exec_driver_sql("set local session_replication_role = replica")
        connection.exec_driver_sql(sql)
        found = audit_connection(connection, clean.now)
        connection.rollback()
    return found


def test_a_clean_competition_has_no_violation(clean: Clean) -> None:
    assert audit(clean.runtime.store.database, clean.now) == []


def test_the_clean_competition_has_something_to_look_at(clean: Clean) -> None:
    """No check is passed for want of rows."""
    read = clean.runtime.store.database.read
    assert {row.status for row in read("select distinct status from cycles")} == {"PERFORMED", "MISSED"}
    assert {row.status for row in read("select distinct status from ground_truths")} == {"RESOLVED", "VOID"}
    assert {row.status for row in read("select distinct status from scores")} == {"SCORED", "CHARGED", "EXEMPT"}
    assert {row.status for row in read("select distinct status from forecasts")} == {"SUCCESS", "FAILED", "SUSPENDED"}
    entries = read("select e from leaderboards, jsonb_array_elements(entries_jsonb) e")
    reasons = " ".join(row.e.get("unranked_reason", "") for row in entries)
    assert "disqualified" in reasons and "less than 50%" in reasons
    assert len({row.e["rank"] for row in entries[-7:]}) < 7, "no tie on the last board"


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: f"{seed.check}-{seed.wrong.replace(' ', '-')}")
def test_a_broken_rule_is_reported(clean: Clean, seed: Seed) -> None:
    found = {one.query.name: one for one in audited_after(clean, seed.sql)}
    assert seed.check in found
    violation = found[seed.check]
    assert violation.query.rule == seed.rule
    assert violation.count >= len(violation.rows) > 0


def test_no_check_lacks_a_seed_and_no_promised_rule_a_check() -> None:
    queries = read_queries()
    assert {query.name for query in queries} == {seed.check for seed in SEEDS}
    assert {query.rule for query in queries} >= PROMISED
    assert all(query.name.startswith(f"{query.rule:02}_") for query in queries)
    assert len({query.title for query in queries}) == len(queries)


def test_a_violation_shows_the_first_rows_and_counts_all(clean: Clean) -> None:
    found = {one.query.name: one for one in audited_after(clean, "update forecasts set answered_at = null")}
    violation = found["02_answers_in_time"]
    assert len(violation.rows) == 20 < violation.count
    assert {"model_id", "prediction_config_id", "performed_at"} <= set(violation.rows[0])


def test_a_range_leaves_out_what_is_beyond_it(clean: Clean) -> None:
    start = clean.runtime.competition.start
    with clean.runtime.store.database.engine.connect() as connection:
        connection.exec_driver_sql("set local session_replication_role = replica")
        connection.exec_driver_sql("update forecasts set asked_at = null, answered_at = null")
        first, rest = (
            audit_connection(connection, clean.now, begin, begin + timedelta(hours=1))
            for begin in (start, start + timedelta(hours=4))
        )
        connection.rollback()
    assert [one.query.name for one in first] == ["02_answers_in_time"]
    assert all(row["performed_at"] < start + timedelta(hours=1) for row in first[0].rows)
    assert rest == []


@pytest.mark.parametrize("pack", ["baseline", "realtime"])
def test_a_competition_on_other_series_has_no_violation(competition: Callable[..., Competition], pack: str) -> None:
    made = competition(pack=pack, competition_end="2026-01-05T01:00Z")
    with open_runtime(made) as runtime:
        replay(runtime, made.windows.between(made.start, made.settings.competition_end), lambda done: None)
        assert runtime.store.database.read("select count(*) as n from scores")[0].n > 0
        assert audit(runtime.store.database, runtime.clock.now()) == []


def test_a_trade_that_came_after_the_truth_does_not_give_its_price(competition: Callable[..., Competition]) -> None:
    """A quiet moment has the last price; a trade that is seen later enters as new and changes no truth."""
    made = competition(pack="realtime", competition_end="2026-01-05T01:00Z")
    with open_runtime(made) as runtime:
        replay(runtime, made.windows.between(made.start, made.settings.competition_end), lambda done: None)
        reported = {}
        for ingested in ("ts_ingested", "now()"):
            with runtime.store.database.engine.connect() as connection:
                connection.exec_driver_sql(
                    "update market_records set ts_event = ts_event - interval '0.5 seconds' "
                    "where kind = 'tick' and ts_event = '2026-01-05T00:20Z'"
                )
                connection.exec_driver_sql(
                    "insert into market_records (provider, asset, kind, granularity, ts_event, event_end, known_at, "
                    " values_jsonb, ts_ingested) select provider, asset, kind, granularity, event_end, event_end, "
                    f" known_at, '{{\"price\": 1}}', {ingested} from market_records "
                    "where kind = 'tick' and event_end = '2026-01-05T00:20Z'"
                )
                found = audit_connection(connection, runtime.clock.now())
                reported[ingested] = "03_tick_prices" in {one.query.name for one in found}
                connection.rollback()
    assert reported == {"ts_ingested": True, "now()": False}


def test_a_closed_live_window_has_no_violation(competition: Callable[..., Competition]) -> None:
    made = competition(mode="live")
    with open_runtime(made) as runtime:
        windows = made.windows.between(made.start, made.settings.competition_end)
        runtime.ingest(windows)
        runtime.build_inputs(windows)
        assert runtime.predict(windows).missed == 120
        assert audit(runtime.store.database, runtime.clock.now()) == []


HEADER = "-- rule: 2\n-- asset: scores\n-- title: a title\nselect 1"


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("select 1", "no header; its first lines must be `-- rule: …`, `-- asset: …`, `-- title: …`"),
        (HEADER.replace("-- asset: scores\n", ""), "begins with rule, title; its first lines must be"),
        (HEADER.replace("rule: 2", "rule: 16"), "rule 16: there are the rules 1 to 15"),
        (HEADER.replace("rule: 2", "rule: two"), "rule two: there are the rules 1 to 15"),
        (HEADER.replace("scores", "score"), "asset score: must be one of market_records, "),
        (HEADER + " where now() > :until", "parameter :until: there are :now, :start and :end"),
    ],
)
def test_a_file_that_is_no_check_is_refused(content: str, fault: str) -> None:
    with pytest.raises(UserError, match=r"^02_it\.sql: ") as refused:
        parse_query("02_it.sql", content)
    assert fault in str(refused.value)


def test_no_checks_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no checks there"):
        read_queries(tmp_path)


def test_every_rule_has_a_name() -> None:
    assert list(NAMES) == list(range(1, 16))
    assert list(RULES.glob("*.sql")), "the package's files"
