"""What the tests of the sensors share."""

from collections.abc import Callable, Iterator

import dagster as dg
import pytest

from coordinator_dagster.competition import Competition
from tests.sensors.lost_hours import LostHours


@pytest.fixture
def lost(competition: Callable[..., Competition], monkeypatch: pytest.MonkeyPatch) -> Iterator[LostHours]:
    with dg.DagsterInstance.ephemeral() as instance:
        world = LostHours(competition(competition_end="2026-12-31T00:00Z"), instance, monkeypatch)
        yield world
        world.runtime.close()
