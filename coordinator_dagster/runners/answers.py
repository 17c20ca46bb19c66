"""What a model is asked as a frame, and what its frame says as answers; one that is none breaks the protocol."""

import json
from collections.abc import Sequence
from typing import Any

from coordinator_dagster.runners.base import Answer, Call
from coordinator_dagster.runners.confined import frames

_DIGITS = 400


class Broken(Exception):
    """The model's process broke the protocol: how."""


def request(tick: bytes, calls: Sequence[Call]) -> bytes:
    """An instant as a model is asked it; ValueError or TypeError when the calls are not JSON or it is over 16 MB."""
    asked = json.dumps([{"args": one.args, "kwargs": one.kwargs} for one in calls], allow_nan=False)
    body = b'{"tick":%b,"calls":%b}' % (tick, asked.encode())
    if len(body) > frames.REQUEST_CAP:
        raise ValueError(f"the instant has {len(body)} bytes; {frames.REQUEST_CAP} are allowed")
    return body


def clean(text: object) -> str:
    """A model's words as a reason that any table can hold."""
    return str(text)[: frames.ERROR_CAP].replace("\0", " ").encode("utf-8", "replace").decode()


def why_not_started(frame: bytes) -> str:
    """The reason in a model's first frame; Broken when it gives none."""
    try:
        if (
            len(frame) > frames.ERROR_BYTES
            or not isinstance(reason := json.loads(frame)["error"], str)
            or not clean(reason)
        ):
            raise ValueError
    except (ValueError, TypeError, LookupError, RecursionError):
        raise Broken("sent a malformed frame") from None
    return clean(reason)


def parse(reply: bytes, count: int, elapsed: float) -> list[Answer]:
    """The answers in a frame; Broken when it is not `count` answers."""
    try:
        text = reply.decode()
        most = frames.VALUES_CAP * (1 + count)  # with room for its own
        if len(text) > most and frames.values(text) > most:
            raise Broken("sent an answer of too many values")
        frame = _decode(text)
        after = f"tick: {clean(frame['tick_error'])}" if frame["tick_error"] is not None else None
        times = [_spent(one["us"], elapsed) for one in frame["answers"]]
        queued = max(0.0, elapsed * 1000 - _spent(frame["tick_us"], elapsed) - sum(times))
        answers = []
        for one, spent in zip(frame["answers"], times, strict=True):
            if "error" in one:
                reason = "; ".join(filter(None, [clean(one["error"]), after]))
                answers.append(Answer("FAILED", elapsed, None, spent, queued, reason))
            else:
                answers.append(Answer("SUCCESS", elapsed, one["value"], spent, queued, after))
    except (ValueError, TypeError, LookupError, OverflowError, RecursionError):
        raise Broken("sent a malformed answer") from None
    if len(answers) != count:
        raise Broken(f"sent {len(answers)} answers to {count} calls")
    return answers


def _integer(text: str) -> int:
    """No table takes more digits than these, and a megabyte of long integers takes a tenth of a second."""
    if len(text) > _DIGITS:
        raise ValueError
    return int(text)


_decode = json.JSONDecoder(parse_int=_integer).decode


def _spent(us: Any, elapsed: float) -> float:
    """Milliseconds, as the model says, but never more than there were: 1e200 ms would break every average."""
    return min(max(0.0, int(us) / 1000), elapsed * 1000)
