"""What a frame may say of itself: whatever it says, the tables take it."""

import pytest

from coordinator_dagster.runners.answers import Broken, parse, why_not_started

LIES = ["1e308", "-1e308", "1" + "0" * 203, "-1000000000000", '"7"', "true", "3"]


@pytest.mark.parametrize("us", LIES)
@pytest.mark.parametrize("tick_us", LIES)
def test_a_model_cannot_have_spent_more_time_than_there_was(us: str, tick_us: str) -> None:
    frame = f'{{"tick_us": {tick_us}, "tick_error": null, "answers": [{{"value": 1, "us": {us}}}]}}'
    (answer,) = parse(frame.encode(), 1, elapsed=0.25)
    assert answer.exec_time_ms is not None and 0 <= answer.exec_time_ms <= 250
    assert answer.queued_ms is not None and 0 <= answer.queued_ms <= 250


@pytest.mark.parametrize("error", ['""', "7", "[]", "{}", "null", "[[[]]]", f"[{'[],' * 300_000}1]"])
def test_a_first_frame_gives_a_short_reason_or_is_broken(error: str) -> None:
    with pytest.raises(Broken, match="malformed"):
        why_not_started(f'{{"error": {error}}}'.encode())
    assert why_not_started(b'{"error": "no\\u0000thing"}') == "no thing"


def test_an_integer_has_at_most_some_hundred_digits() -> None:
    def frame(value: str) -> bytes:
        return f'{{"tick_us": 1, "tick_error": null, "answers": [{{"value": {value}, "us": 1}}]}}'.encode()

    assert parse(frame("9" * 400), 1, 1.0)[0].output == int("9" * 400)
    with pytest.raises(Broken, match="malformed"):
        parse(frame("9" * 4000), 1, 1.0)
