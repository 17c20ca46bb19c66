"""What a look asks of the database is the same, however long the competition has gone on."""

import pytest

from coordinator_dagster.clock import FixedClock
from coordinator_dagster.health.look import Look
from tests.original_faults.conftest import pack  # noqa: F401
from tests.original_faults.test_volume import WritePack, reads, repeat_the_past
from tests.original_faults.world import HOUR, START, always, opened, perform, settle, windows_of
from tests.report.conftest import Make
from tests.report.test_growth import QUIET


@pytest.mark.parametrize("analyzed", [True, False])
def test_a_look_costs_the_same_after_twice_the_time(
    competition: Make,
    pack: WritePack,  # noqa: F811
    analyzed: bool,
) -> None:
    made = competition(pack=pack(300, 300, min_cycles=0), competition_end=(START + 15 * HOUR).isoformat())
    with opened(made, {"a": always(0.0), "b": always(0.001)}) as runtime:
        perform(runtime, windows_of(made))
        settle(runtime, windows_of(made))
        repeat_the_past(runtime, range(1, 11))
        live = made.settings.model_copy(update={"mode": "live"})
        object.__setattr__(made, "settings", live)
        found = []
        for twice in ([], [11]):
            if twice:
                repeat_the_past(runtime, twice)
                with runtime.store.database.transaction() as connection:
                    connection.exec_driver_sql(QUIET)
            look = Look(made)
            look._store, look._clock = runtime.store, FixedClock(START + 15 * HOUR)
            with reads(runtime, analyzed) as seen:
                assert look.take().contest
            found.append(seen)
    young, old = found
    assert len(old.blocks) > 10, "the test would show nothing"
    grown = {sql: (young.blocks[sql], now) for sql, now in old.blocks.items() if now > 1.2 * young.blocks[sql] + 3}
    assert not grown, "with twice the history these queries look at more of it"
