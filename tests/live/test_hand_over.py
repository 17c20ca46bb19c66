"""The next hour's run takes over between two instants, however near they are."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from coordinator_dagster.competition import Competition
from coordinator_dagster.packs import available_packs
from coordinator_dagster.runtime import open_runtime
from slots.market import utc
from tests.live.running import run_until

pytestmark = pytest.mark.venue
END, SECOND = utc("2023-03-23T13:00Z"), timedelta(seconds=1)
SPEED, EVERY = 5, 5  # one real second a cycle: half of it is left to take over in
LATENCY = 0.4  # real seconds; what REST has to be asked for first takes three times as long


def test_no_input_waits_in_vain(venue: Callable[..., Any], live: Callable[..., Competition], tmp_path: Path) -> None:
    pack = json.loads(available_packs()["realtime"].read_text())
    pack["scheduled_prediction_configs"][0]["schedule"] = {"every_seconds": EVERY}
    pack["input_wait_seconds"] = 2.0
    (tmp_path / "quick.json").write_text(json.dumps(pack))
    with venue((END - 55 * SECOND).isoformat(), SPEED) as url:
        httpx.post(f"{url}/_control/faults", json={"latency_s": LATENCY}).raise_for_status()
        made = live(url, pack="quick.json", competition_end="2023-03-23T14:00Z", feed_backfill_minutes=1)
        run_until(made, made.windows.between(made.start, made.settings.competition_end), END + 12 * SECOND)
        with open_runtime(made) as runtime:
            found = runtime.store.database.read(
                "select performed_at, status, cut_off - performed_at as waited from cycles "
                "where performed_at >= :first and performed_at < :last order by 1",
                first=END,
                last=END + 10 * SECOND,
            )
    assert [(row.performed_at, row.status) for row in found] == [
        (END + n * EVERY * SECOND, "PERFORMED") for n in range(2)
    ]
    assert max(row.waited for row in found) < made.pack.input_wait, [str(row.waited) for row in found]
