"""Who takes over from a restore says that it was one; who takes over later does not."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from coordinator_dagster.competition import Competition
from coordinator_dagster.live.leasing import WORK
from coordinator_dagster.live.live_run import UNPERFORMED
from coordinator_dagster.runtime import Runtime
from coordinator_dagster.store.database import Database
from tests.live.running import run_simulated

HOLDER, WHY = "the restore of a.dump", "the restore of a.dump was under way"


@pytest.mark.parametrize("between", [False, True])
def test_it_is_told_once(between: bool, competition: Callable[..., Competition]) -> None:
    made = competition(mode="live", pack="realtime")

    def held(runtime: Runtime) -> None:
        leases = runtime.store.leases
        assert leases.seize([WORK], HOLDER) == []
        leases.release_all(HOLDER, WORK, {"by": HOLDER, "why": WHY})
        if between:  # it worked, and died
            assert leases.take(WORK, "another")
            with runtime.store.database.transaction() as connection:
                connection.exec_driver_sql("update leases set expires_at = now() - interval '1 minute'")

    begin = made.start + timedelta(minutes=5)
    run_simulated(made, begin, begin + timedelta(seconds=40), prepare=held)
    url = made.settings.database_url
    assert url
    database = Database(url.get_secret_value(), made.schema)
    rows = database.read("select distinct reason from cycles where performed_at < :begin", begin=begin)
    database.close()
    assert [row.reason for row in rows] == [UNPERFORMED if between else WHY]
