"""The fault proof: whatever fails under a seed, both ways to the tape end with what the venue held."""

import logging
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import pytest

pytest.importorskip("stand_in_exchange", reason="the stand-in is not importable")

from tests.faults.seed import Outcome, run_seed

pytestmark = [pytest.mark.faults, pytest.mark.venue]
FEW = (0, 9, 44)
MANY = range(int(os.environ.get("COORDINATOR_TEST_SEEDS", "0")))
AT_ONCE = int(os.environ.get("COORDINATOR_TEST_SEEDS_AT_ONCE", "3"))  # mostly they wait for the venue's clock


def run(seed: int, tape: Path, database_url: str) -> Outcome:
    logging.disable()  # the feed's warnings are of what the plan does to it
    try:
        return run_seed(seed, tape, database_url)
    except Exception as error:
        return Outcome(seed, [f"it ended with {error!r}"])


def test_nothing_is_lost_or_invented_and_every_hole_is_visible(tape_dir: Path, database_url: str) -> None:
    """Prints a line a seed; COORDINATOR_TEST_SEEDS=200 runs so many."""
    outcomes = []
    with ProcessPoolExecutor(AT_ONCE, multiprocessing.get_context("spawn")) as pool:
        for done in as_completed(pool.submit(run, seed, tape_dir, database_url) for seed in MANY or FEW):
            outcomes.append(done.result())
            print(outcomes[-1], flush=True)
    failed = [str(one) for one in outcomes if one.faults]
    restated = sum(one.restated for one in outcomes)
    print(f"{len(outcomes) - len(failed)} of {len(outcomes)} seeds without a fault, {restated} keys restated")
    assert not failed, "\n".join(failed)
