"""Numbers are numbers, text is text: what cannot be stored is refused where it enters."""

import math
import sys
from typing import Any, TypeGuard

import orjson

DEEPEST = 50
WIDEST_INT = 2**63
LARGEST_SCORE = 1e150
_SORTED = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)


def to_json(value: Any) -> bytes:
    """The value as JSON text; ValueError, naming the place, when it is not JSON of finite numbers.

    Keys are sorted: one value has one text. orjson writes NaN as null and NUL as an escape, and takes no integer of
    more than 53 bits here: only what holds one of these is worth a closer look.
    """
    try:
        text = orjson.dumps(value, option=_SORTED | orjson.OPT_STRICT_INTEGER)
        suspicious = b"null" in text or (b"\\" in text and b"\\u" in text)  # one byte is found at once
    except (TypeError, RecursionError):
        suspicious = True
    if suspicious:
        if fault := not_json(value):
            raise ValueError(fault)
        try:
            text = orjson.dumps(value, option=_SORTED)
        except TypeError as error:  # such as a number of numpy's
            raise ValueError(str(error)) from None
    return text


def json_fault(value: Any) -> str | None:
    """The same as `not_json`, and that it can be written; where nothing is wrong in a fifth of the time."""
    try:
        text = to_json(value)
    except ValueError as fault:
        return str(fault)
    return not_json(value) if text.count(b"{") + text.count(b"[") > DEEPEST else None


def same_json(text: bytes) -> bytes:
    """JSON from the database, whose keys are in an order of its own, as `to_json` had it."""
    return orjson.dumps(orjson.loads(text), option=_SORTED)


def not_json(value: Any, where: str = "it", depth: int = 0) -> str | None:
    """Why a value cannot be stored as JSON of finite numbers, naming the place; None when it can."""
    if isinstance(value, float):
        return None if math.isfinite(value) else f"{where} is {value}, not a finite number"
    if isinstance(value, str):
        return None if clean_text(value) == value else f"{where} holds characters that are no text"
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int):
        return None if -WIDEST_INT <= value < WIDEST_INT else f"{where} is an integer of more than 64 bits"
    if depth == DEEPEST:
        return f"{where} is nested more than {DEEPEST} deep"
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str) or clean_text(key) != key:
                return f"{where} has a key {key!r} that is no text"
            if fault := not_json(item, f"{where}.{key}", depth + 1):
                return fault
        return None
    if isinstance(value, list | tuple):
        faults = (not_json(item, f"{where}[{place}]", depth + 1) for place, item in enumerate(value))
        return next((fault for fault in faults if fault), None)
    return f"{where} is a {type(value).__name__}, not JSON"


def clean_text(text: str) -> str:
    """Text that PostgreSQL takes: no NUL, no half of a surrogate pair."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "").encode(errors="replace").decode()


def is_score(value: Any) -> bool:
    """A number that can be squared and summed by the million, and that the table takes."""
    return is_number(value) and abs(value) <= LARGEST_SCORE


def is_number(value: Any) -> TypeGuard[int | float]:
    """A finite int or float; a boolean is none."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return -sys.float_info.max <= value <= sys.float_info.max
