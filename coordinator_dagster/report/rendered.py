"""Answers as bytes: with an ETag, zipped for who takes it, and kept while nothing has changed."""

import gzip
import hashlib
import re
import threading
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import orjson
from fastapi import Request, Response

JSON = "application/json"
T = TypeVar("T")
SMALLEST_ZIPPED = 1000  # bytes: below, a packet holds it anyway
ZIP_LEVEL = 5
TAKES_ZIPPED = re.compile(r"\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))")


@dataclass
class Rendered:
    """An answer. The ETag is weak: zipped or not, it says the same."""

    body: bytes
    etag: str
    media_type: str

    @cached_property
    def zipped(self) -> bytes:
        """Made for the first who takes it."""
        return gzip.compress(self.body, ZIP_LEVEL, mtime=0)


def render(body: bytes, media_type: str = JSON) -> Rendered:
    return Rendered(body, f'W/"{hashlib.sha256(body).hexdigest()[:32]}"', media_type)


def render_json(content: Any) -> Rendered:
    return render(orjson.dumps(content))


def respond(request: Request, rendered: Rendered, headers: Mapping[str, str] | None = None) -> Response:
    """The answer: 304 where the asker has it already."""
    about = {"ETag": rendered.etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding", **(headers or {})}
    if has_already(request, rendered.etag):
        return Response(status_code=304, headers=about)
    if len(rendered.body) >= SMALLEST_ZIPPED and TAKES_ZIPPED.search(request.headers.get("accept-encoding", "")):
        return Response(rendered.zipped, headers=about | {"Content-Encoding": "gzip"}, media_type=rendered.media_type)
    return Response(rendered.body, headers=about, media_type=rendered.media_type)


def json_answer(request: Request, content: Any, headers: Mapping[str, str] | None = None) -> Response:
    """JSON that was made for this request."""
    return respond(request, render_json(content), headers)


def has_already(request: Request, etag: str) -> bool:
    """Whether the asker has that version: then 304 is the answer."""
    asked = request.headers.get("if-none-match", "")
    return asked == "*" or etag.removeprefix("W/") in (one.strip().removeprefix("W/") for one in asked.split(","))


class Kept:
    """What is dear to make, by name: the newest only, for as long as its stamp is the same.

    One thread makes it; who asks meanwhile waits for that.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._making: dict[str, threading.Lock] = {}
        self._kept: dict[str, tuple[Hashable, Any]] = {}

    def get(self, name: str, stamp: Hashable, make: Callable[[], T]) -> T:
        with self._lock:
            making = self._making.setdefault(name, threading.Lock())
        with making:
            kept = self._kept.get(name)
            if kept is None or kept[0] != stamp:
                kept = self._kept[name] = (stamp, make())
        value: T = kept[1]
        return value
