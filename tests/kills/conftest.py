"""One live competition that is killed again and again."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator_dagster.store.embedded import start_embedded
from tests.cli.serving import until
from tests.kills.instance import Instance, Venue
from tests.kills.stored import Stored


@pytest.fixture(scope="module")
def instance(tape_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """Started, and at its end nothing is left of it."""
    if not importlib.util.find_spec("stand_in_exchange"):
        pytest.skip("the stand-in is not importable")
    home = tmp_path_factory.mktemp("kills")
    venue = Venue(tape_dir, home / "venue.log")
    made: list[Instance] = []
    try:
        made.append(Instance(home, venue))
        until(made[0].serves, 90)
        yield made[0]
    finally:
        for one in made:
            one.end()
        venue.end()


@pytest.fixture(scope="module")
def stored(instance: Instance) -> Iterator[Stored]:
    opened = Stored(start_embedded(instance.home))
    yield opened
    opened.close()
