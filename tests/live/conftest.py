"""A venue that runs faster than real time, and live runs against it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from coordinator_dagster.competition import Competition

Venue = Callable[[str, float], Any]


@pytest.fixture
def venue(tape_dir: Path) -> Venue:
    """`with venue(start, speed) as url`: the stand-in exchange over set A; its clock runs from the first moment on."""
    stand_in_exchange = pytest.importorskip("stand_in_exchange", reason="the stand-in is not importable")

    @contextmanager
    def running(start: str, speed: float) -> Iterator[str]:
        with stand_in_exchange.running(tape_dir, start=start, speed=0, derive_ticks=True) as url:
            httpx.post(f"{url}/_control/clock", json={"speed": speed}).raise_for_status()
            yield url

    return running


@pytest.fixture
def live(competition: Callable[..., Competition]) -> Callable[..., Competition]:
    """Makes a live competition at a venue, by default from 12:00 on 2023-03-23."""

    def make(url: str, suffix: str = "a", **settings: Any) -> Competition:
        return competition(
            suffix,
            mode="live",
            feed_provider="binance",
            feed_base_url=url,
            clock_url=f"{url}/_control/clock",
            **{"competition_start": "2023-03-23T12:00Z", "competition_end": "2023-03-23T15:00Z", **settings},
        )

    return make
