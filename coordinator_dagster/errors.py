"""Errors made for people: shown as text, without a traceback, with an exit code that is not 0."""

from collections.abc import Sequence
from typing import Any


class UserError(Exception):
    """Something the operator can put right. The message says where, what was found, and the remedy."""

    def __reduce__(self) -> tuple[Any, ...]:  # from another process comes what it says
        return UserError, (str(self),)


class UserErrors(UserError):
    """All the faults of one kind at once."""

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = list(faults)
        super().__init__("\n".join(self.faults))

    def __reduce__(self) -> tuple[Any, ...]:
        return UserErrors, (self.faults,)


def first_line(error: object) -> str:
    """An error, or what a program said, in one line for people."""
    return str(error).strip().partition("\n")[0]
