"""A failed run is posted with what to do, and the webhook's address never shows."""

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pytest
from pydantic import SecretStr

from coordinator_dagster import webhook as posting
from coordinator_dagster.code_location import build_definitions
from coordinator_dagster.competition import Competition
from coordinator_dagster.sensors import failure
from coordinator_dagster.sensors.failure import failure_sensor
from coordinator_dagster.webhook import NotPosted
from tests.sensors.webhooks import SECRET, Webhook

RANGE = {
    "dagster/asset_partition_range_start": "2026-01-05-00:00",
    "dagster/asset_partition_range_end": "2026-01-05-01:00",
}


@pytest.fixture
def failed(competition: Callable[..., Competition], webhook: Webhook) -> Iterator[Callable[[], Any]]:
    """Evaluates the sensor on a run of the loop that failed at a broken slot."""
    made = competition(raw_input_provider="nowhere:function", failure_webhook_url=webhook.url)
    definitions = build_definitions(made)
    [sensor] = [one for one in definitions.sensors or () if one.name == f"{made.schema}_failure_sensor"]
    assert isinstance(sensor, dg.RunStatusSensorDefinition)
    with dg.DagsterInstance.ephemeral() as instance:
        job = definitions.resolve_job_def(f"{made.schema}_loop")
        done = job.execute_in_process(instance=instance, tags=RANGE, raise_on_error=False)
        context = dg.build_run_status_sensor_context(
            sensor_name=sensor.name,
            dagster_event=done.get_run_failure_event(),
            dagster_instance=instance,
            dagster_run=done.dagster_run,
        ).for_run_failure()
        yield lambda: sensor(context)


def test_it_says_what_failed_why_and_what_to_do(failed: Callable[[], Any], webhook: Webhook) -> None:
    failed()
    [body] = webhook.bodies
    assert list(body) == ["text"]
    lines = body["text"].splitlines()
    assert lines[0].endswith("_a_loop failed, 2026-01-05-00:00 … 2026-01-05-01:00")
    assert lines[1].startswith("run ")
    assert "__inference_inputs: " in lines[2] and "RAW_INPUT_PROVIDER=nowhere:function" in lines[2]
    assert lines[3].startswith("What to do: Mend the cause, then materialize these windows again")
    assert len(lines) == 4


def test_a_run_that_is_started_again_by_itself_says_so(
    competition: Callable[..., Competition], webhook: Webhook
) -> None:
    made = competition()
    job = build_definitions(made).resolve_job_def(f"{made.schema}_checks_job")
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(job, tags={"dagster/will_retry": "true"})
        instance.report_run_failed(run, "its machine died\nand more")
        [record] = instance.fetch_run_status_changes(dg.DagsterEventType.RUN_FAILURE, limit=1).records
        context = dg.build_run_status_sensor_context(
            sensor_name="x",
            dagster_event=record.event_log_entry.get_dagster_event(),
            dagster_instance=instance,
            dagster_run=run,
        ).for_run_failure()
        text = failure.message(made, context)
    assert text.splitlines()[2:] == ["its machine died", f"What to do: {failure.RETRIED}"]


def test_a_webhook_that_stumbles_is_tried_again(failed: Callable[[], Any], webhook: Webhook) -> None:
    webhook.statuses = [503, 429]
    failed()
    assert len(webhook.bodies) == 3


@pytest.mark.parametrize("statuses, tries", [([500] * 9, posting.TRIES), ([404] * 9, 1)])
def test_a_message_that_is_not_taken_fails_the_tick_without_the_address(
    failed: Callable[[], Any], webhook: Webhook, caplog: pytest.LogCaptureFixture, statuses: list[int], tries: int
) -> None:
    caplog.set_level("INFO")
    webhook.statuses = statuses
    shown = dg.serialize_value(failed().error) + caplog.text
    assert len(webhook.bodies) == tries
    assert f"HTTP {statuses[0]}" in shown and "_a_loop failed" in shown, "the message itself is not lost"
    assert SECRET not in shown


def test_a_webhook_that_is_down_fails_the_tick_without_the_address(
    competition: Callable[..., Competition], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(posting._send.retry, "wait", lambda _: 0)  # type: ignore[attr-defined]
    for url in (f"http://127.0.0.1:9/{SECRET}", f"slack/{SECRET}", f"http://slack:{SECRET}"):
        with pytest.raises(NotPosted) as raised:
            posting.post(SecretStr(url), "a text")
        assert SECRET not in dg.serialize_value(_as_the_tick_shows(raised.value)) + caplog.text


def test_every_job_has_its_remedy_and_is_watched(competition: Callable[..., Competition], webhook: Webhook) -> None:
    made = competition(mode="live", failure_webhook_url=webhook.url)
    definitions = build_definitions(made)
    jobs = {one.name for one in definitions.jobs or ()}
    assert definitions.resolve_job_def(f"{made.schema}_order").tags["dagster/max_retries"] == "0", (
        "it is not given twice"
    )
    assert jobs == set(failure.remedies(made))
    sensor = failure_sensor(made, SecretStr(webhook.url))
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    assert SECRET not in repr(vars(sensor))


def test_without_a_webhook_there_is_no_sensor(competition: Callable[..., Competition]) -> None:
    assert not any(one.name.endswith("failure_sensor") for one in build_definitions(competition()).sensors or [])


def _as_the_tick_shows(error: BaseException) -> Any:
    from dagster._utils.error import serializable_error_info_from_exc_info

    return serializable_error_info_from_exc_info((type(error), error, error.__traceback__))
