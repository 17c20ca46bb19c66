"""What becomes unhealthy is told when it has lasted, when it changes and when it is over; what flaps is not."""

from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest

from coordinator_dagster.code_location import build_definitions
from coordinator_dagster.competition import Competition
from coordinator_dagster.health.finding import Finding
from coordinator_dagster.health.look import Look
from coordinator_dagster.health.news import Seen, news_of
from coordinator_dagster.store.store import open_store
from coordinator_dagster.webhook import NotPosted
from tests.health.standing import CASES
from tests.sensors.webhooks import SECRET, Webhook

GAP, OLD_GAP = (Finding("gaps", one, f"{one} gap", "wait") for one in ("warning", "critical"))
WORK = Finding("live run", "critical", "nobody works", "start one")


def told(*looks: list[Finding]) -> list[tuple[list[str], list[str]]]:
    """What is told at each look: the words of what has begun, and of what is over."""
    seen, found = Seen(), []
    for findings in looks:
        news, kept = news_of(seen, findings)
        seen = Seen.model_validate_json(kept.model_dump_json())
        found.append(([one.why for one in news.begun], news.over))
    return found


NOTHING: tuple[list[str], list[str]] = ([], [])


def test_what_lasts_two_looks_is_told_once_and_so_is_its_end() -> None:
    begun, over = (["nobody works"], []), ([], ["nobody works"])
    assert told([WORK], [WORK], [WORK], [], [], []) == [NOTHING, begun, NOTHING, NOTHING, over, NOTHING]


def test_what_flaps_is_not_told() -> None:
    assert told([WORK], [], [WORK], [], [WORK], []) == 6 * [NOTHING]
    assert told([WORK], [WORK], [], [WORK], [], [WORK])[2:] == 4 * [NOTHING], "nor its end, while it comes back"


def test_what_becomes_worse_is_told_and_numbers_alone_are_not() -> None:
    more = Finding("gaps", "warning", "another number", "wait")
    assert told([GAP], [GAP], [more], [more])[2:] == [NOTHING, NOTHING]
    assert told([GAP], [GAP], [OLD_GAP], [OLD_GAP])[2:] == [NOTHING, (["critical gap"], [])]
    assert told([GAP], [OLD_GAP], [GAP], [OLD_GAP]) == 4 * [NOTHING]


class Sensor:
    """The health sensor of a live competition that has no tables, evaluated as the daemon does it."""

    def __init__(self, made: Competition, instance: dg.DagsterInstance) -> None:
        repository = build_definitions(made).get_repository_def()
        self._sensor = repository.get_sensor_def(f"{made.schema}_health_sensor")
        self._instance, self._repository, self.cursor = instance, repository, None

    def look(self) -> Any:
        context = dg.build_sensor_context(
            instance=self._instance, cursor=self.cursor, repository_def=self._repository, sensor_name=self._sensor.name
        )
        found = self._sensor.evaluate_tick(context)
        self.cursor = found.cursor
        return found


def test_the_sensor_tells_the_webhook_and_says_what_it_saw(
    competition: Callable[..., Competition], webhook: Webhook
) -> None:
    made = competition(mode="live", failure_webhook_url=webhook.url)
    with dg.instance_for_test() as instance:
        sensor = Sensor(made, instance)
        first = sensor.look()
        assert "has not begun" in first.skip_message and not webhook.bodies
        webhook.statuses = 9 * [404]
        before = sensor.cursor
        with pytest.raises(NotPosted, match="has not begun") as raised:
            sensor.look()
        assert sensor.cursor == before and SECRET not in str(raised.value)
        webhook.statuses.clear()
        sensor.look()
        text = webhook.bodies[-1]["text"]
        assert text.splitlines()[0] == f"{made.settings.competition} is not healthy"
        assert "critical: the competition has not begun" in text and "What to do: `coordinator live`" in text
        sent = len(webhook.bodies)
        sensor.look()
        assert len(webhook.bodies) == sent, "told once"
        open_store(made).close()
        for _ in range(2):
            sensor.look()
        assert "over: the competition has not begun" in webhook.bodies[-1]["text"]


def test_only_what_sensors_of_their_own_tell_is_left_to_them(
    competition: Callable[..., Competition], webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = competition(mode="live", failure_webhook_url=webhook.url, competition_start="1970-01-01T00:00Z")
    left = set()
    with dg.instance_for_test() as instance:
        sensor = Sensor(made, instance)
        for case in CASES:
            monkeypatch.setattr(Look, "take", lambda *_, found=case.readings: found)
            sensor.cursor = None
            webhook.bodies.clear()
            for _ in range(2):
                sensor.look()
            if not webhook.bodies:
                left.add(case.what)
    assert left == {"checks ERROR", "checks WARN", "runs"}
