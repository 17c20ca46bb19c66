"""What is pushed is not lost while REST is asked for something else, and what is missing of it is named."""

from datetime import datetime, timedelta

import pytest

from coordinator_dagster.feeds.binance_pushed import ConnectionLost, PushedTicks
from coordinator_dagster.feeds.fates import Fates
from slots.market import utc
from tests.faults.truth import TICK

pytestmark = pytest.mark.faults
NOW, SECOND = utc("2023-03-23T12:00Z"), timedelta(seconds=1)


def trade(number: int, seconds: float) -> dict[str, object]:
    at = int((NOW + seconds * SECOND).timestamp() * 1000)
    return {"a": number, "T": at, "p": "1.0", "q": "1.0", "f": number, "l": number}


@pytest.fixture
def pushed() -> PushedTicks:
    """It has given all through the fifth second, for the venue's clock said so; the newest trade is of the third."""
    pushed = PushedTicks(TICK, NOW, Fates())
    pushed.take(trade(10, 3))
    pushed.advance(NOW + 5 * SECOND)
    heard = pushed.cut(NOW + 60 * SECOND, SECOND, soon=True)
    assert heard is not None and (len(heard.records), heard.through) == (1, NOW + 5 * SECOND)
    return pushed


def through(pushed: PushedTicks, seconds: float) -> list[datetime]:
    pushed.advance(NOW + seconds * SECOND)
    heard = pushed.cut(NOW + 60 * SECOND, SECOND, soon=True)
    return [one.ts_event for one in heard.records] if heard else []


def test_what_is_not_final_outlives_a_question_to_rest(pushed: PushedTicks) -> None:
    pushed.take(trade(11, 7))
    pushed.forward(NOW + 6 * SECOND)
    assert through(pushed, 8) == [NOW + 7 * SECOND]
    with pytest.raises(ConnectionLost, match="trade 13 came where 12 was due"):
        pushed.take(trade(13, 9))


def test_what_rest_has_given_is_not_given_again(pushed: PushedTicks) -> None:
    pushed.take(trade(11, 7))
    pushed.forward(NOW + 7 * SECOND)
    assert through(pushed, 8) == []
    pushed.take(trade(12, 9))
    assert through(pushed, 10) == [NOW + 9 * SECOND]


def test_where_a_number_is_missing_all_since_the_last_trade_is(pushed: PushedTicks) -> None:
    with pytest.raises(ConnectionLost, match="trade 12 came where 11 was due"):
        pushed.take(trade(12, 8))
    assert pushed.late == [(NOW + 3 * SECOND, NOW + 5 * SECOND)]


def test_who_comes_first_out_of_order_is_missing_too(pushed: PushedTicks) -> None:
    with pytest.raises(ConnectionLost, match="trade 9 came where 11 was due"):
        pushed.take(trade(9, 2))
    assert pushed.late == [(NOW + 1.999 * SECOND, NOW + 2 * SECOND)]
