"""Asking Binance's public REST interface: by python-binance or, where that is broken, by plain HTTP."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_before_delay, wait_exponential

from coordinator_dagster.feeds.base import FeedError

METHODS = {  # endpoint -> what python-binance calls it
    "klines": "get_klines",
    "aggTrades": "get_aggregate_trades",
    "time": "get_server_time",
    "exchangeInfo": "get_exchange_info",
}
TIMEOUT_SECONDS = 10.0
PATIENCE_SECONDS = 70.0  # a used-up weight limit is lifted within a minute
log = logging.getLogger(__name__)

Ask = Callable[[str, dict[str, Any]], Any]


@dataclass(eq=False)
class _Refusal(Exception):
    """No data: what came instead (`status` 0: nothing), and how many seconds the venue asks us to wait."""

    status: int
    body: str
    retry_after: str | None = None

    @property
    def wait(self) -> float:
        """Seconds; the header's other form, a date, is not one that this venue sends."""
        return float(self.retry_after) if self.retry_after and self.retry_after.isdigit() else 0.0

    @property
    def may_pass(self) -> bool:
        """Overload, bans, faults of the server, a broken line or a torn answer; not a refused question."""
        return self.status in (0, 200, 408, 418, 429) or self.status >= 500

    def __str__(self) -> str:
        return f"{f'HTTP {self.status}' if self.status else 'no answer'}: {self.body[:200]}"


def _by_library(base_url: str) -> Ask:
    """Ask through python-binance; raises what its import raises (here, for it takes half a second)."""
    from binance import Client
    from binance.exceptions import BinanceAPIException, BinanceRequestException
    from requests import RequestException

    client = Client(ping=False, requests_params={"timeout": TIMEOUT_SECONDS})
    client.API_URL = f"{base_url}/api"

    def ask(endpoint: str, params: dict[str, Any]) -> Any:
        try:
            return getattr(client, METHODS[endpoint])(**params)
        except BinanceAPIException as error:
            headers = error.response.headers
            raise _Refusal(error.status_code, error.response.text, headers.get("Retry-After")) from error
        except BinanceRequestException as error:  # what came is not JSON
            raise _Refusal(200, str(error)) from error
        except RequestException as error:
            raise _Refusal(0, repr(error)) from error

    return ask


def _by_http(base_url: str) -> Ask:
    client = httpx.Client(base_url=f"{base_url}/api/v3/", timeout=TIMEOUT_SECONDS)

    def ask(endpoint: str, params: dict[str, Any]) -> Any:
        try:
            answer = client.get(endpoint, params=params)
        except httpx.HTTPError as error:
            raise _Refusal(0, repr(error)) from error
        if not answer.is_success:
            raise _Refusal(answer.status_code, answer.text, answer.headers.get("Retry-After"))
        try:
            return answer.json()
        except ValueError as error:
            raise _Refusal(200, f"not JSON: {answer.text}") from error

    return ask


def _pause(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    backoff = wait_exponential(multiplier=0.1, max=10)(state)
    return max(backoff, error.wait if isinstance(error, _Refusal) else 0.0)


class BinanceRest:
    """Questions to `base_url` (without `/api`), each repeated for at most `patience` seconds.

    Pauses grow, or are what the venue's Retry-After says. `transport` says what is asked through.
    """

    def __init__(self, base_url: str, patience: float = PATIENCE_SECONDS) -> None:
        self.url, self._patience = base_url.rstrip("/"), patience
        self.transport = "python-binance"
        try:
            self._transport = _by_library(self.url)
        except Exception as error:  # an import can fail in any way, a version clash with AttributeError
            self._fall_back(error)

    def ask(self, endpoint: str, **params: Any) -> Any:
        """The venue's answer, parsed; FeedError with URL, status and body when patience is over."""
        retrying = Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, _Refusal) and error.may_pass),
            wait=_pause,
            stop=stop_before_delay(self._patience),
            reraise=True,
        )
        try:
            return retrying(self._once, endpoint, params)
        except _Refusal as refusal:
            url, tries = httpx.URL(f"{self.url}/api/v3/{endpoint}", params=params), retrying.statistics
            raise FeedError(f"GET {url}: {refusal} (attempts: {tries['attempt_number']})") from refusal

    def _once(self, endpoint: str, params: dict[str, Any]) -> Any:
        try:
            return self._transport(endpoint, params)
        except Exception as error:
            if isinstance(error, _Refusal) or self.transport == "http":
                raise
            self._fall_back(error)  # no answer of the venue: the library itself is broken
            return self._transport(endpoint, params)

    def _fall_back(self, error: Exception) -> None:
        log.warning("python-binance does not work here (%r); asking %s by plain HTTP", error, self.url)
        self.transport, self._transport = "http", _by_http(self.url)
