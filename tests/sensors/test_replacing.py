"""After an upgrade the live run that waits makes way for one of the new release; the one that works does not."""

from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from coordinator_dagster.competition import Competition, read_competition
from coordinator_dagster.release import TAG, release_of
from slots.market import utc
from tests.sensors.test_live_runs import NEXT, OPEN, Watch

WORKING, WAITING = f"window {OPEN}", f"window {NEXT}"


@pytest.fixture
def watch(competition: Callable[..., Competition]) -> Iterator[Watch]:
    """One run works and the next one waits, both of an older release."""
    made = competition(mode="live", competition_end="2026-01-05T06:00Z")
    with dg.DagsterInstance.ephemeral() as instance:
        watching = Watch(made, instance)
        yield watching
        watching.kept.runtime.close()


def two_runs(watch: Watch, **tags: str) -> tuple[dg.DagsterRun, dg.DagsterRun]:
    working, waiting = watch.launched(OPEN), watch.launched(NEXT)
    leases = watch.kept.runtime.store.leases
    for name, run in (("live", working), (WORKING, working), (WAITING, waiting)):
        assert leases.take(name, run.run_id)
    for run in (working, waiting):
        watch.instance.add_run_tags(run.run_id, tags)
    return working, waiting


def dismissed(watch: Watch, name: str) -> str | None:
    lease = watch.kept.runtime.store.leases.read(name)
    assert lease
    return lease.dismissed


def test_a_run_is_tagged_by_the_release_that_started_it(watch: Watch) -> None:
    [first, second] = watch.look()
    assert first.tags[TAG] == second.tags[TAG] == release_of(watch.made)


def test_only_the_run_that_waits_makes_way(watch: Watch) -> None:
    two_runs(watch, **{TAG: "older"})
    [skipped] = watch.look()
    assert f"window {NEXT} makes way" in skipped.skip_message and "of older" in skipped.skip_message
    assert dismissed(watch, WORKING) is None and dismissed(watch, "live") is None
    assert release_of(watch.made) in (dismissed(watch, WAITING) or "")


def test_a_run_of_this_release_stays(watch: Watch) -> None:
    two_runs(watch, **{TAG: release_of(watch.made)})
    watch.look()
    assert dismissed(watch, WAITING) is None


def test_nobody_makes_way_where_nobody_works_or_shortly_before_the_window(watch: Watch) -> None:
    working, _ = two_runs(watch)
    watch.clock.moment = utc("2026-01-05T03:59Z")
    watch.look()
    assert dismissed(watch, WAITING) is None, "its window is about to begin"
    watch.clock.moment = utc("2026-01-05T03:20Z")
    watch.kept.runtime.store.leases.release("live", working.run_id)
    watch.look()
    assert dismissed(watch, WAITING) is None, "it is about to take over"


def test_who_closes_its_window_is_not_asked(watch: Watch) -> None:
    two_runs(watch, **{TAG: release_of(watch.made)})
    closing = watch.launched("2026-01-05-02:00")
    assert watch.kept.runtime.store.leases.take("window 2026-01-05-02:00", closing.run_id)
    [skipped] = watch.look()
    assert "makes way" not in skipped.skip_message
    assert dismissed(watch, "window 2026-01-05-02:00") is None


def test_nobody_is_asked_in_the_moment_of_the_hand_over(watch: Watch) -> None:
    two_runs(watch)
    watch.instance.add_run_tags(watch.launched("2026-01-05-05:00").run_id, {TAG: release_of(watch.made)})
    watch.clock.moment = utc("2026-01-05T04:00:00.050Z")
    watch.look()
    assert dismissed(watch, WAITING) is None


def test_whoever_comes_after_a_dismissed_run_is_not_meant(watch: Watch) -> None:
    _, waiting = two_runs(watch)
    watch.look()
    leases = watch.kept.runtime.store.leases
    renewed = leases.renew(WAITING, waiting.run_id)
    assert renewed and renewed.dismissed
    leases.release(WAITING, waiting.run_id, renewed.meta)  # as if it had been killed
    assert leases.take(WAITING, "another")
    assert dismissed(watch, WAITING) is None


def test_a_release_whose_slots_cannot_be_loaded_replaces_nobody(
    watch: Watch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SCORING_FUNCTION", "slots.defaults:no_such")
    broken = Watch(read_competition(tmp_path), watch.instance)
    two_runs(broken)
    [skipped] = broken.look()
    assert "no run is replaced" in skipped.skip_message and "no_such" in skipped.skip_message
    assert dismissed(broken, WAITING) is None
    broken.kept.runtime.close()


def test_settings_secrets_and_slots_are_of_the_release(
    watch: Watch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = release_of(watch.made)
    assert release_of(read_competition(tmp_path)) == before
    seen = {before}
    for name, value in {
        "FEED_API_KEY": "rotated",
        "MODEL_RUNNER_TIMEOUT_SECONDS": "7",
        "SCORING_FUNCTION": "slots.defaults:report_schema",
        "PACK": "tournament",
    }.items():
        monkeypatch.setenv(name, value)
        seen.add(release_of(read_competition(tmp_path)))
    assert len(seen) == 5
