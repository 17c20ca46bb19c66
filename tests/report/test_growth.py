"""What is asked of the database for an answer: the same, however long the competition has gone on."""

import httpx
import pytest

from coordinator_dagster.keys import digest, key_of
from coordinator_dagster.report.app import create_app
from coordinator_dagster.store.report import own_forecasts
from tests.original_faults.conftest import pack  # noqa: F401
from tests.original_faults.test_volume import WritePack, reads, repeat_the_past
from tests.original_faults.world import HOUR, START, always, opened, perform, rows, settle, windows_of
from tests.report.conftest import Make
from tests.report.serving import serving

SECRET = 64 * "a"
SPAN = f"start={(START - 10 * HOUR).isoformat()}&end={(START + 15 * HOUR).isoformat()}".replace("+", "%2B")
MISSED = f"""
insert into cycles (prediction_config_id, performed_at, resolvable_at, window_start, status, reason)
select 'btc-60s', t, t, date_trunc('hour', t), 'MISSED', 'nobody was there'
from generate_series(timestamptz '{START + 16 * HOUR}', timestamptz '{START + 90 * HOUR}', '1 minute') t
"""
QUIET = """
insert into market_gaps (provider, asset, kind, granularity, gap_start, gap_end, state, reason)
select 'simulated', 'BTC', 'tick', '1s', t, t + interval '1 minute', 'QUIET', 'nothing was traded'
from generate_series(timestamptz '2025-01-01', '2025-12-31', '1 hour') t
"""
PATHS = (
    *("/", "/feeds", "/clock", "/model/a"),
    *("/models", "/reports/leaderboard", "/reports/leaderboard.csv", "/reports/models", "/reports/feeds"),
    *(f"/reports/models/{name}?projectIds=a&{SPAN}" for name in ("global", "params", "metrics", "summary")),
    *(f"/reports/{name}?limit=10&{SPAN}" for name in ("predictions", "predictions.csv", "truths", "models/metrics")),
    "/reports/feeds/tail?source=simulated",
    *(f"/private/models/a/forecasts?limit=10&failed={failed}" for failed in ("true", "false")),
    f"/private/models/a/explain?at={START.isoformat().replace('+', '%2B')}",
)


@pytest.mark.parametrize("analyzed", [True, False])
def test_an_answer_costs_the_same_after_twice_the_time(
    competition: Make,
    pack: WritePack,  # noqa: F811
    analyzed: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(own_forecasts, "LOOKED_AT", 50)  # so many in any case
    made = competition(
        pack=pack(300, 300, look_back_hours=2, min_cycles=0), competition_end=(START + 15 * HOUR).isoformat()
    )
    with opened(made, {"a": always(0.0), "b": always(0.001)}) as runtime:
        perform(runtime, windows_of(made))
        settle(runtime, windows_of(made))
        id_ = runtime.store.keys.add("op", "operator", None, digest(SECRET))
        assert id_
        repeat_the_past(runtime, range(1, 11))
        headers, found = {"X-API-Key": key_of(id_, SECRET)}, []
        for twice in ([], [11]):
            if twice:
                repeat_the_past(runtime, twice)
                with runtime.store.database.transaction() as connection:
                    connection.exec_driver_sql(QUIET)
                    connection.exec_driver_sql(MISSED)
            app = create_app(made)  # another one: nothing is kept from before
            with (
                serving(app) as url,
                httpx.Client(base_url=url, headers=headers, timeout=30) as client,
                reads(app.state.opened, analyzed) as seen,
            ):
                for path in PATHS:
                    answer = client.get(path)
                    assert answer.status_code == 200, f"{path}: {answer.text}"
                    assert len(answer.content) > 2 or "failed=true" in path, f"{path} shows nothing"
            found.append(seen)
        assert rows(runtime, "select count(*) as n from scores")[0]["n"] > 7000
    young, old = found
    assert len(old.blocks) > 15, "the test would show nothing"
    assert set(old.blocks) == set(young.blocks)
    grown = {sql: (young.blocks[sql], now) for sql, now in old.blocks.items() if now > 1.2 * young.blocks[sql] + 3}
    assert not grown, "with twice the history these queries look at more of it"
