"""The interface a participant's model implements."""

from typing import Any


class TrackerBase:
    """Subclass it in your `main.py`; one instance lives for a window (an hour) at most.

    `tick` comes once per instant, before the forecasts asked at that instant. Inputs carry their full
    look-back, so a model needs no state to be complete.
    """

    def tick(self, data: dict[str, Any]) -> None:
        """Take in what is known now: `{"symbol", "asof_ts", "candles_1m": [{"ts", "open", ...}], ...}`."""
        raise NotImplementedError

    def predict(self, asset: str, horizon: int, step: int) -> dict[str, Any]:
        """Forecast `asset` over `horizon` seconds; the default contest wants `{"value": return}`.

        The return is a fraction: 0.001 means the price is expected to rise by 0.1 %.
        """
        raise NotImplementedError
