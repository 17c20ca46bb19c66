"""What the tests of the sensors share."""

import threading
from collections.abc import Callable, Iterator

import dagster as dg
import pytest

from coordinator_dagster import webhook as posting
from coordinator_dagster.competition import Competition
from tests.sensors.lost_hours import LostHours
from tests.sensors.webhooks import Webhook


@pytest.fixture
def lost(competition: Callable[..., Competition], monkeypatch: pytest.MonkeyPatch) -> Iterator[LostHours]:
    with dg.DagsterInstance.ephemeral() as instance:
        world = LostHours(competition(competition_end="2026-12-31T00:00Z"), instance, monkeypatch)
        yield world
        world.runtime.close()


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    made = Webhook()
    threading.Thread(target=made.server.serve_forever, daemon=True).start()
    monkeypatch.setattr(posting._send.retry, "wait", lambda _: 0)  # type: ignore[attr-defined]
    yield made
    made.server.shutdown()
    made.server.server_close()
