"""Asking Pyth over HTTP: Hermes and Benchmarks, within the requests that they allow."""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

import httpx
from pydantic import SecretStr

from coordinator_dagster.errors import UserError
from coordinator_dagster.feeds.base import FeedError
from coordinator_dagster.feeds.fates import Fates
from coordinator_dagster.feeds.pyth_records import NONSENSE, refuse
from coordinator_dagster.feeds.refusals import Refusal, asking_again

TIMEOUT_SECONDS = 10.0
PATIENCE_SECONDS = 70.0  # who asks too often is shut out for a minute
# Pyth allows 30 requests in 10 s from one address; another process may be there, too
REQUESTS, REQUESTS_SECONDS = 25, 10.0
NOTHING = "Update data not found"  # Hermes' answer, with status 404, where no update is at or after the time asked

Read = TypeVar("Read")


class RequestBudget:
    """Spaces out the questions of all threads: at most REQUESTS in any REQUESTS_SECONDS, none before a Retry-After."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: deque[float] = deque(maxlen=REQUESTS)  # real (monotonic) seconds
        self._not_before = 0.0

    def reserve(self) -> float:
        """The seconds after which the next question may be asked; it is taken as asked then."""
        with self._lock:
            now = time.monotonic()
            at = max(now, self._not_before)
            if len(self._asked) == self._asked.maxlen:
                at = max(at, self._asked[0] + REQUESTS_SECONDS)
            self._asked.append(at)
            return at - now

    def wait_for(self, seconds: float) -> None:
        """The venue asked everybody here to wait."""
        with self._lock:
            self._not_before = max(self._not_before, time.monotonic() + seconds)


class PythRest:
    """Questions to any of Pyth's addresses, each repeated for at most `patience` seconds, with growing pauses.

    `api_key`, if there is one, is sent along as a bearer token; `headers` have it.
    """

    def __init__(self, fates: Fates, api_key: SecretStr | None = None, patience: float = PATIENCE_SECONDS) -> None:
        key = api_key.get_secret_value() if api_key else ""
        if not key.isascii() or any(character.isspace() or not character.isprintable() for character in key):
            raise UserError("FEED_API_KEY has characters that no key has (spaces, line ends, accents); copy it again")
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.patience, self._fates, self._key, self._budget = patience, fates, key, RequestBudget()
        self._client = httpx.Client(headers=self.headers, timeout=TIMEOUT_SECONDS)

    def ask(self, url: str, read: Callable[[Any], Read], **params: Any) -> Read:
        """What `read` makes of the answer (None: Hermes has no update there); what it cannot read is asked for again.

        FeedError with URL, status and body, or with what is wrong, when patience is over.
        """
        retrying = asking_again(self.patience)
        asked = str(httpx.URL(url, params=params))
        try:
            return retrying(self._once, asked, read)
        except Refusal as refusal:
            tries = retrying.statistics["attempt_number"]
            raise FeedError(f"GET {asked}: {refusal} (attempts: {tries})") from refusal

    def hide_key(self, text: str) -> str:
        """What a venue answers might tell what it was asked with."""
        return text.replace(self._key, "(the key)") if self._key else text

    def reserve(self) -> float:
        """As the budget's; Refusal when that would be beyond patience."""
        pause = self._budget.reserve()
        if pause > self.patience:
            raise Refusal(429, "the venue asked this address to wait", {"Retry-After": f"{pause:.0f}"})
        return pause

    def refusal(self, answer: httpx.Response) -> Refusal:
        """What an answer without success says; until when it asks to wait is kept to by everybody here."""
        hint = "(does it want a FEED_API_KEY, or another one?) " if answer.status_code in (401, 403) else ""
        refusal = Refusal(answer.status_code, hint + self.hide_key(answer.text), answer.headers)
        self._budget.wait_for(refusal.wait)
        return refusal

    def _once(self, url: str, read: Callable[[Any], Read]) -> Read:
        time.sleep(self.reserve())
        try:
            answer = self._client.get(url)
        except httpx.HTTPError as error:
            raise Refusal(0, repr(error)) from error
        if not answer.is_success and not (answer.status_code == 404 and answer.text.startswith(NOTHING)):
            raise self.refusal(answer)
        try:
            return read(answer.json() if answer.is_success else None)
        except NONSENSE as error:
            refuse(self._fates, url, error)
            raise Refusal(200, f"nonsense: {error!r} in {self.hide_key(answer.text)[:100]}") from error
