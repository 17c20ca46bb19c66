"""Asking Binance's public REST interface: by python-binance or, where that is broken, by plain HTTP."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import httpx

from coordinator_dagster.feeds.base import FeedError
from coordinator_dagster.feeds.binance_budget import WeightBudget
from coordinator_dagster.feeds.binance_records import NONSENSE
from coordinator_dagster.feeds.fates import Fates
from coordinator_dagster.feeds.refusals import Refusal, asking_again
from slots.market import NoPrice

METHODS = {  # endpoint -> what python-binance calls it
    "klines": "get_klines",
    "aggTrades": "get_aggregate_trades",
    "time": "get_server_time",
    "exchangeInfo": "get_exchange_info",
}
TIMEOUT_SECONDS = 10.0
PATIENCE_SECONDS = 70.0  # a used-up weight limit is lifted within a minute
log = logging.getLogger(__name__)

Ask = Callable[[str, dict[str, Any]], tuple[Any, Mapping[str, str]]]  # the answer and its headers
Read = TypeVar("Read")


def _by_library(base_url: str) -> Ask:
    """Ask through python-binance; raises what its import raises (here, for it takes half a second)."""
    from binance import Client
    from binance.exceptions import BinanceAPIException, BinanceRequestException
    from requests import RequestException

    client = Client(ping=False, requests_params={"timeout": TIMEOUT_SECONDS})
    client.API_URL = f"{base_url}/api"

    def ask(endpoint: str, params: dict[str, Any]) -> tuple[Any, Mapping[str, str]]:
        try:
            return getattr(client, METHODS[endpoint])(**params), client.response.headers
        except BinanceAPIException as error:
            raise Refusal(error.status_code, error.response.text, error.response.headers) from error
        except BinanceRequestException as error:  # what came is not JSON
            raise Refusal(200, str(error)) from error
        except RequestException as error:
            raise Refusal(0, repr(error)) from error

    return ask


def _by_http(base_url: str) -> Ask:
    client = httpx.Client(base_url=f"{base_url}/api/v3/", timeout=TIMEOUT_SECONDS)

    def ask(endpoint: str, params: dict[str, Any]) -> tuple[Any, Mapping[str, str]]:
        try:
            answer = client.get(endpoint, params=params)
        except httpx.HTTPError as error:
            raise Refusal(0, repr(error)) from error
        if not answer.is_success:
            raise Refusal(answer.status_code, answer.text, answer.headers)
        try:
            return answer.json(), answer.headers
        except ValueError as error:
            raise Refusal(200, f"not JSON: {answer.text}") from error

    return ask


def _weight_limit(exchange_info: Any) -> int:
    """What a minute's requests may weigh."""
    limits = [one for one in exchange_info["rateLimits"] if one["rateLimitType"] == "REQUEST_WEIGHT"]
    return min(int(one["limit"]) // int(one["intervalNum"]) for one in limits if one["interval"] == "MINUTE")


class BinanceRest:
    """Questions to `base_url` (without `/api`), each repeated for at most `patience` seconds.

    Pauses grow, or are what the venue's Retry-After says, which every thread here keeps to. `transport` says what is
    asked through.
    """

    def __init__(self, base_url: str, fates: Fates, patience: float = PATIENCE_SECONDS) -> None:
        self.url, self._fates, self._patience = base_url.rstrip("/"), fates, patience
        self.budget = WeightBudget()
        self.transport = "python-binance"
        try:
            self._transport = _by_library(self.url)
        except Exception as error:  # an import can fail in any way, a version clash with AttributeError
            self._fall_back(error)

    def ask(self, endpoint: str, read: Callable[[Any], Read], **params: Any) -> Read:
        """What `read` makes of the venue's answer; one that it cannot read is asked for again, as a torn one is.

        FeedError with URL, status and body, or with what is wrong, when patience is over.
        """
        if self.budget.needs_limit and endpoint != "exchangeInfo":
            self.budget.limit = self.ask("exchangeInfo", _weight_limit)
        retrying = asking_again(self._patience)
        try:
            return retrying(self._once, endpoint, read, params)
        except Refusal as refusal:
            url, tries = httpx.URL(f"{self.url}/api/v3/{endpoint}", params=params), retrying.statistics
            raise FeedError(f"GET {url}: {refusal} (attempts: {tries['attempt_number']})") from refusal

    def _once(self, endpoint: str, read: Callable[[Any], Read], params: dict[str, Any]) -> Read:
        pause = self.budget.reserve()
        if pause > self._patience:
            raise Refusal(429, "the venue asked this address to wait", {"Retry-After": f"{pause:.0f}"})
        time.sleep(pause)
        try:
            answer, headers = self._answer(endpoint, params)
        except Refusal as refusal:
            self.budget.saw(refusal.headers)
            self.budget.wait_for(refusal.wait)
            raise
        self.budget.saw(headers)
        try:
            return read(answer)
        except NONSENSE as error:
            if isinstance(error, NoPrice):
                self._fates.refuse(error)
            raise Refusal(200, f"nonsense: {error!r}", headers) from error

    def _answer(self, endpoint: str, params: dict[str, Any]) -> tuple[Any, Mapping[str, str]]:
        try:
            return self._transport(endpoint, params)
        except Exception as error:
            if isinstance(error, Refusal) or self.transport == "http":
                raise
            self._fall_back(error)  # no answer of the venue: the library itself is broken
            return self._transport(endpoint, params)

    def _fall_back(self, error: Exception) -> None:
        log.warning("python-binance does not work here (%r); asking %s by plain HTTP", error, self.url)
        self.transport, self._transport = "http", _by_http(self.url)
