"""A month that leaves the tape waits for whoever uses it, and keeps nobody waiting for itself."""

import threading
import time
from datetime import UTC, datetime

import pytest

from coordinator_dagster.runtime import open_runtime
from coordinator_dagster.store import expiry
from tests.retention.conftest import END, Make, replay_all


def test_nobody_is_held_up_while_a_month_waits_for_a_tape_in_use(slow: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiry, "TRY_SECONDS", 1.5)
    monkeypatch.setattr(expiry.ExpiryTable._leave.retry, "stop", expiry.stop_after_delay(1.5))
    waits: list[float] = []
    with open_runtime(slow(market_record_ttl_days=4)) as runtime:
        replay_all(runtime)
        runtime.ingest(runtime.competition.windows.between(END, datetime(2026, 3, 5, tzinfo=UTC)))
        over, engine = threading.Event(), runtime.store.database.engine

        def look() -> None:
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                while not over.is_set():
                    began = time.monotonic()
                    connection.exec_driver_sql("select max(ts_event) from market_records")
                    waits.append(time.monotonic() - began)

        looking = threading.Thread(target=look)
        with engine.connect() as auditor, auditor.begin():
            auditor.exec_driver_sql("select count(*) from market_records")  # and goes on for minutes
            looking.start()
            report = runtime.expire()
            over.set()
        looking.join()
        assert "the tape was in use" in report.held["2026-01"]
        assert report.held["2026-02"] == "an older month stays"
        assert len(waits) > 20
        assert max(waits) < 1, "a tenth of a second, and what the machine takes"
        assert list(runtime.expire().gone) == ["2026-01", "2026-02"]
