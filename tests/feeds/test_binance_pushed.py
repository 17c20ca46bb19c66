"""What Binance pushes, message by message: what is late, doubled, disordered or none is noticed."""

from datetime import datetime, timedelta

import pytest

from coordinator_dagster.feeds.binance_pushed import ConnectionLost, PushedCandles, PushedTicks
from coordinator_dagster.feeds.fates import Fates
from tests.feeds.stand_in import CANDLES, CLOSED, NOW, TICKS

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


def test_a_missed_close_is_noticed_by_the_next_bar() -> None:
    def kline(opened: datetime, closed: bool) -> dict[str, object]:
        prices = dict.fromkeys("ohlcv", "1.0")
        return {"k": {"t": int(opened.timestamp() * 1000), "x": closed, **prices}}

    pushed = PushedCandles(CANDLES, CLOSED, Fates())
    pushed.take(kline(CLOSED, closed=False))
    assert (pushed.behind, pushed.cut(NOW + MINUTE, SECOND, soon=True)) == (False, None)
    pushed.take(kline(CLOSED + MINUTE, closed=False))
    assert pushed.behind


def test_trades_that_come_too_late_or_not_at_all_are_noticed(caplog: pytest.LogCaptureFixture) -> None:
    def trade(number: int, seconds: float) -> dict[str, object]:
        at = int((NOW + timedelta(seconds=seconds)).timestamp() * 1000)
        return {"a": number, "T": at, "p": "1.0", "q": "1.0", "f": number, "l": number}

    fates = Fates()
    pushed = PushedTicks(TICKS, NOW, fates)
    for one in (trade(1, 0), trade(2, 0.4), trade(2, 0.4), trade(3, 0.4)):
        pushed.take(one)
    assert pushed.cut(NOW + MINUTE, SECOND, soon=True) is None  # more of that millisecond may come
    pushed.advance(NOW + SECOND)
    heard = pushed.cut(NOW + MINUTE, SECOND, soon=True)
    assert heard is not None
    assert not caplog.text  # trade 1 was given before
    assert [(record.meta["trades"], record.meta["trade_id"]) for record in heard.records] == [(2, 3)]
    pushed.take(trade(4, 0.4))
    assert "trade 4" in caplog.text
    millisecond = (NOW + 0.399 * SECOND, NOW + 0.4 * SECOND)
    assert pushed.late == [millisecond]  # all of it is fetched
    with pytest.raises(ValueError, match=r"price=nan is not a positive finite number"):
        pushed.take({**trade(5, 2), "p": "NaN"})
    with pytest.raises(ConnectionLost, match="trade 7 came where 6 was due"):
        pushed.take(trade(7, 2))
    assert {met.fate: met.count for met in fates.take()} == {"duplicate": 1, "disordered": 1}
