"""Times on the command line."""

from datetime import datetime

from coordinator_dagster.errors import UserError
from slots.market import utc


def parse_moment(option: str, text: str) -> datetime:
    """An ISO-8601 time with its zone; a date alone is its midnight in UTC. UserError names the option."""
    try:
        return utc(text if "T" in text or " " in text else f"{text}T00:00Z")
    except ValueError as error:
        raise UserError(f"{option}={text}: {error}; write a time such as 2023-03-24T12:00Z") from None


def parse_hour(option: str, text: str) -> datetime:
    """A moment that is a full hour."""
    moment = parse_moment(option, text)
    if moment.minute or moment.second or moment.microsecond:
        raise UserError(f"{option}={text}: must be a full hour, such as {moment:%Y-%m-%dT%H}:00Z")
    return moment
