"""kill -9 of each part of what is deployed, in any order, while cycles go on and a backfill works.

`COORDINATOR_TEST_SEED=7 make production ARGS="-k losses"` takes another order. What each
loss cost is printed.
"""

import importlib.util
import os
import random
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from slots.market import utc
from tests.cli.serving import answers, until
from tests.kills.instance import COMPETITION, SCHEMA, Venue, gone
from tests.kills.stored import Stored
from tests.kills.test_kills import missed_within, nothing_lost
from tests.production.deployment import Deployment
from tests.production.layout import CODE, PARTS
from tests.ui import Ui

SEED = int(os.environ.get("COORDINATOR_TEST_SEED", "1"))
WITH_RUNS = f"{CODE}, with all its runs"  # a container's death
LOSSES = (*PARTS, WITH_RUNS)
SETTINGS = COMPETITION | {"MODE": "live", "COMPETITION_START": "2023-03-23T08:00Z"}
WINDOWS = [f"2023-03-23-{hour:02}:00" for hour in range(8, 12)]  # closed when it begins
STEADY_SECONDS, GOES_ON_SECONDS = 180, 90
BACKFILL_SECONDS = 600
OF_A_BACKFILL = "select run_id from dagster.run_tags where key = 'dagster/backfill' and value = :backfill"
# Its own, retries of those, and what the sensor has asked for in the place of one, with retries.
RUNS = f"""with recursive own as (
    select run_id::text from dagster.runs where run_id in ({OF_A_BACKFILL})
    union select t.run_id::text from own join dagster.run_tags t
        on t.key = 'dagster/root_run_id' and t.value = own.run_id
        or t.key = 'dagster/run_key' and t.value = 'in place of ' || own.run_id)
select status from dagster.runs where run_id in (select run_id from own) order by create_timestamp, id"""


@pytest.fixture(scope="module")
def venue(tape_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    if not importlib.util.find_spec("stand_in_exchange"):
        pytest.skip("the stand-in is not importable")
    one = Venue(tape_dir, tmp_path_factory.mktemp("venue") / "venue.log")
    yield one
    one.end()


@pytest.fixture(scope="module")
def deployment(venue: Venue, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    told = {"FEED_BASE_URL": venue.url, "CLOCK_URL": f"{venue.url}/_control/clock", "MODEL_LAYERS_WAIVED": "all"}
    deployed = Deployment(tmp_path_factory.mktemp("production"), SETTINGS | told)
    try:
        deployed.wait_until_healthy()
        yield deployed
    finally:
        deployed.end()
        print(deployed.logs())


@pytest.fixture(scope="module")
def stored(deployment: Deployment) -> Iterator[Stored]:
    one = Stored(deployment.url_with_password)
    yield one
    one.close()


@pytest.mark.production
@pytest.mark.venue
@pytest.mark.timeout(1800)
def test_the_loss_of_each_part_in_any_order(deployment: Deployment, stored: Stored, venue: Venue) -> None:
    order = list(LOSSES)
    random.Random(SEED).shuffle(order)
    print(f"\nseed {SEED}: {', '.join(order)}")
    steady(deployment, stored, venue)
    kept, began = stored.kept(), venue.now()
    backfills = [launch(deployment, stored)]
    for loss in order:
        backfills += lose(deployment, stored, venue, loss)
    for backfill in backfills:
        seconds = until(lambda one=backfill: states(stored, one)[-1:] == ["SUCCESS"], BACKFILL_SECONDS)  # type: ignore[misc]
        print(f"backfill {backfill}: {' → '.join(states(stored, backfill))}, complete {seconds:.0f} s later")
    assert states(stored, backfills[1])[0] == "FAILURE", "it was to be killed"
    steady(deployment, stored, venue)
    over = utc(venue.now()) + timedelta(seconds=1)
    print(missed_within(stored, began, over))
    nothing_lost(stored, kept, began)
    print(f"coordinator audit: {deployment.audit()}")


def lose(deployment: Deployment, stored: Stored, venue: Venue, loss: str) -> list[str]:
    """Lose it and wait until all is well; the backfill that it has interrupted, if it is to."""
    backfills, part = [], loss.split(",")[0]
    if loss == WITH_RUNS:
        backfills.append(launch(deployment, stored))
        until(lambda: states(stored, backfills[0])[-1:] == ["STARTED"], STEADY_SECONDS)
    before = venue.now()
    working = stored.lease()
    killed = deployment.lose(part, with_runs=loss == WITH_RUNS)
    gone(killed)
    after = venue.now()
    next_cycle = until(lambda: stored.performed_after(after), GOES_ON_SECONDS)
    healthy = steady(deployment, stored, venue)
    assert loss != WITH_RUNS or stored.lease()[0] != working[0], "the live run went on"
    missed = len(stored.missed_since(before))
    print(f"{loss}: next cycle after {next_cycle:.1f} s, all well {healthy:.1f} s later, {missed} MISSED")
    return backfills


def steady(deployment: Deployment, stored: Stored, venue: Venue) -> float:
    """Wait until every part is healthy, one live run works, another waits, and cycles are performed."""
    begun = time.monotonic()
    deployment.wait_until_healthy()
    until(lambda: stored.answers() and stored.runs(), STEADY_SECONDS)
    now = venue.now()
    until(lambda: stored.performed_after(now), STEADY_SECONDS)
    return time.monotonic() - begun


def launch(deployment: Deployment, stored: Stored) -> str:
    """A backfill of the closed windows by the job that has every asset, as from the job's page; its id."""
    port = deployment.layout.ports["webserver"]
    until(lambda: answers(str(port)), 60)
    launched = Ui(SCHEMA, port).ask(
        """mutation($params: LaunchBackfillParams!) {launchPartitionBackfill(backfillParams: $params) {
            __typename ... on LaunchBackfillSuccess {backfillId} ... on PythonError {message}
        }}""",
        params={
            "selector": {
                "partitionSetName": f"{SCHEMA}_loop_partition_set",
                "repositorySelector": {"repositoryName": "__repository__", "repositoryLocationName": "coordinator"},
            },
            "partitionNames": WINDOWS,
        },
    )["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched
    return str(launched["backfillId"])


def states(stored: Stored, backfill: str) -> list[str]:
    """Of its run, and of those launched in that one's place; with one that died Dagster calls the backfill failed."""
    return [row.status for row in stored.rows(RUNS, backfill=backfill)] if stored.answers() else []
