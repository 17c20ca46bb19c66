"""Tells FAILURE_WEBHOOK_URL, as Slack takes it. The URL is a secret: it is in no line and in no error."""

import html
import logging

import httpx
from pydantic import SecretStr
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_exponential

IT_WAS = "It was:\n"
TRIES, TIMEOUT_SECONDS = 4, 5  # to connect, and to answer: with the waits less than a sensor's minute


class NotPosted(Exception):
    """The webhook did not take a message; it is in the text, the URL is not."""


def _passes(error: BaseException) -> bool:
    """Whether another try may succeed."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code == 429 or error.response.status_code >= 500
    return isinstance(error, httpx.TransportError)


@retry(stop=stop_after_attempt(TRIES), wait=wait_exponential(max=4), retry=retry_if_exception(_passes), reraise=True)
def _send(url: str, body: dict[str, str]) -> None:
    httpx.post(url, json=body, timeout=TIMEOUT_SECONDS).raise_for_status()


def post(webhook: SecretStr, text: str) -> None:
    """NotPosted, with the text, when the webhook has not taken it after several tries."""
    logging.getLogger("httpx").setLevel(logging.WARNING)  # at INFO its lines show the URL
    try:
        _send(webhook.get_secret_value(), {"text": html.escape(text, quote=False)})
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        # Its own words may hold the URL, so they are not passed on.
        status = (
            f"HTTP {error.response.status_code}" if isinstance(error, httpx.HTTPStatusError) else type(error).__name__
        )
        raise NotPosted(f"FAILURE_WEBHOOK_URL did not take the message ({status}). {IT_WAS}{text}") from None


def text_of(said: str) -> str:
    """The message that a NotPosted says was not taken."""
    return said.partition(IT_WAS)[2].strip()
