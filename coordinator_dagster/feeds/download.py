"""A coordinator's tape archive, fetched over HTTP: the days asked for that are not in the folder yet."""

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from coordinator_dagster.errors import UserError
from coordinator_dagster.feeds.archive_files import DayFile, exact_file

TIMEOUT = httpx.Timeout(30, connect=10)  # seconds: of a connection, and between two pieces of an answer
ATTEMPTS = 4
SHA256 = re.compile(r"[0-9a-f]{64}")
Progress = Callable[[int, int], None]  # told the bytes fetched so far, and those to be fetched in all


@dataclass
class DownloadReport:
    """Files fetched and those that were there already, and the bytes of those fetched."""

    fetched: int = 0
    kept: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class _Listed:
    """A file as the index has it."""

    file: DayFile
    bytes: int
    sha256: str


def download(url: str, folder: Path, first_day: date, last_day: date, progress: Progress) -> DownloadReport:
    """Bring the archive in `folder` up to date with the coordinator at `url`, from `first_day` to `last_day` (UTC).

    A file is there whole, with the checksum of the index, or as it was before. Raises UserError, saying what to do,
    when the coordinator is away or none, lists nothing of these days, or sends what it did not list.
    """
    with _client(url) as client:
        index = _index(client)
        wanted = [one for one in index if first_day <= one.file.day <= last_day]
        if not wanted:
            raise UserError(f"{_shown(client)}: no file from {first_day} to {last_day}; {_has(index)}")
        missing = [one for one in wanted if not _is_there(folder, one)]
        report, total = DownloadReport(kept=len(wanted) - len(missing)), sum(one.bytes for one in missing)
        for one in missing:
            _fetch(client, folder, one, lambda done: progress(report.bytes + done, total))
            report.fetched, report.bytes = report.fetched + 1, report.bytes + one.bytes
    return report


@contextmanager
def _client(url: str) -> Iterator[httpx.Client]:
    """The client of that address, its failures in words; UserError when it is no address."""
    try:
        base = httpx.URL(url)
    except httpx.InvalidURL:
        base = httpx.URL()
    if base.scheme not in ("http", "https") or not base.host:
        raise UserError(f"{url}: is no address of a coordinator; write it like http://coordinator.example:8000")
    with httpx.Client(base_url=base, timeout=TIMEOUT, follow_redirects=True) as client:
        try:
            yield client
        except httpx.HTTPStatusError as error:
            raise UserError(f"{_shown(client)}: {_refused(error.response)}") from None
        except httpx.HTTPError as error:
            raise UserError(
                f"{_shown(client)}: does not answer ({type(error).__name__}: {error}); is the address right, and does "
                "`coordinator report` run there?"
            ) from None


def _shown(client: httpx.Client) -> str:
    """The address without a password that it may hold."""
    return str(client.base_url.copy_with(userinfo=b"")).rstrip("/")


def _refused(answer: httpx.Response) -> str:
    said = f"{answer.request.url.path} answered {answer.status_code} {answer.reason_phrase}"
    if answer.is_server_error:
        return f"{said}; ask again later, or ask its operator to look at the log of `coordinator report`"
    return f"{said}; if that is a coordinator, the file has gone since it was listed: download again"


def _again(error: BaseException) -> bool:
    """Whether it may work at the next attempt."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.is_server_error or error.response.status_code == httpx.codes.TOO_MANY_REQUESTS
    return isinstance(error, httpx.TransportError)


def _attempts() -> Retrying:
    return Retrying(
        retry=retry_if_exception(_again),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential(multiplier=0.5, max=5),
        reraise=True,
    )


def _index(client: httpx.Client) -> list[_Listed]:
    """All that the coordinator has; UserError when what answers is none, or lists what cannot be."""

    def ask() -> httpx.Response:
        return client.get("tape").raise_for_status()

    try:
        found = _attempts()(ask).json()
    except (ValueError, httpx.HTTPStatusError) as error:
        if isinstance(error, httpx.HTTPStatusError) and _again(error):
            raise
        found = None
    if not isinstance(found, list):
        raise UserError(f"{_shown(client)}: no coordinator answers there (/tape is no list of files); mend the address")
    return [_listed(client, entry) for entry in found]


def _listed(client: httpx.Client, entry: Any) -> _Listed:
    """An entry of the index; UserError, before anything is written, for one that names no file of an archive."""
    known = entry if isinstance(entry, dict) else {}
    path, size, sha256 = known.get("path"), known.get("bytes"), known.get("sha256")
    file = exact_file(path) if isinstance(path, str) else None  # any other path might lead out of the folder
    if file is None:
        raise _bad_entry(client, f"the path {path!r:.200}")
    if not isinstance(size, int) or isinstance(size, bool) or size <= 0:
        raise _bad_entry(client, f"{path} with {size!r:.80} bytes")
    if not isinstance(sha256, str) or not SHA256.fullmatch(sha256):
        raise _bad_entry(client, f"{path} with the SHA-256 {sha256!r:.80}")
    return _Listed(file, size, sha256)


def _bad_entry(client: httpx.Client, what: str) -> UserError:
    return UserError(
        f"{_shown(client)}: its list of files has {what}, which no coordinator writes; nothing was downloaded: make "
        "sure of the address, and tell its operator"
    )


def _has(index: list[_Listed]) -> str:
    days = sorted(one.file.day for one in index)
    return f"it has {days[0]} to {days[-1]}: choose among these days" if days else "it has archived nothing yet"


def _is_there(folder: Path, one: _Listed) -> bool:
    path = folder / one.file.path
    if not path.is_file() or path.stat().st_size != one.bytes:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == one.sha256


def _fetch(client: httpx.Client, folder: Path, one: _Listed, progress: Callable[[int], None]) -> None:
    """Write the file beside its place, and move it there once it is known to be right."""
    path = folder / one.file.path
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _attempts()(_write, client, beside, one, progress)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror or error}); mend the folder, or its disk") from None


def _write(client: httpx.Client, beside: Path, one: _Listed, progress: Callable[[int], None]) -> None:
    """The file's content, checked as it comes: no byte more than was listed. UserError when it is another."""
    digest, size = hashlib.sha256(), 0
    with beside.open("wb") as sink, client.stream("GET", f"tape/{quote(str(one.file.path))}") as answer:
        answer.raise_for_status()
        for piece in answer.iter_bytes():
            size += len(piece)
            if size > one.bytes:
                break
            digest.update(piece)
            sink.write(piece)
            progress(size)
        sink.flush()
        os.fsync(sink.fileno())
    if size != one.bytes or digest.hexdigest() != one.sha256:
        wrong = "its checksum is wrong" if size == one.bytes else f"its size is not the {one.bytes} bytes listed"
        raise UserError(
            f"{_shown(client)}: {one.file.path}: {wrong}, so it was not kept; download again, and if it stays so ask "
            "its operator to archive the day anew (the asset tape_archive)"
        )
