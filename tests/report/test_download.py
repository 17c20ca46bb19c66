"""A participant's download of the tape: what comes, what is kept, and what is refused."""

import contextlib
import hashlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request, Response

from coordinator_dagster.clock import SystemClock
from coordinator_dagster.competition import Competition
from coordinator_dagster.errors import UserError
from coordinator_dagster.feeds import download as module
from coordinator_dagster.feeds.archive_feed import ArchiveFeed
from coordinator_dagster.feeds.download import DownloadReport, download
from coordinator_dagster.report.app import create_app
from coordinator_dagster.stages.archive import archive_folder
from tests.cli.serving import free_port
from tests.report.conftest import DAYS
from tests.report.serving import serving

PATH = "day=2026-01-05/asset=BTC/kind=candle/simulated-1m.parquet"
CONTENT = b"some bytes"
SHA256 = hashlib.sha256(b"other bytes").hexdigest()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked again without a pause."""
    monkeypatch.setattr(module, "wait_exponential", lambda **_: lambda _state: 0)


def fetch(url: str, folder: Path, first: date = DAYS[0], last: date = DAYS[1]) -> DownloadReport:
    return download(url, folder, first, last, lambda done, total: None)


def files(folder: Path) -> dict[str, bytes]:
    return {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


def test_what_is_missing_or_other_comes_and_is_a_tape_to_replay(archived: Competition, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    source, folder = files(archive_folder(archived)), tmp_path / "mine"
    with serving(create_app(archived)) as url:
        report = download(url, folder, DAYS[1], DAYS[1], lambda done, total: told.append((done, total)))
        assert report == DownloadReport(1, 0, len(source[PATH]))
        assert told[-1] == (len(source[PATH]), len(source[PATH]))
        assert fetch(f"{url}/", folder) == DownloadReport(1, 1, sum(map(len, source.values())) - len(source[PATH]))
        assert fetch(url, folder) == DownloadReport(0, 2, 0)
        assert files(folder) == source
        damaged = bytearray(source[PATH])
        damaged[100] ^= 1
        (folder / PATH).write_bytes(damaged)
        assert fetch(url, folder) == DownloadReport(1, 1, len(source[PATH]))
    assert files(folder) == source
    feed = ArchiveFeed(folder, None, SystemClock())
    assert [str(one.series) for one in feed.list_assets()] == ["simulated/BTC/candle/1m"]


def test_days_that_are_not_there_are_named_beside_those_that_are(archived: Competition, tmp_path: Path) -> None:
    with serving(create_app(archived)) as url, pytest.raises(UserError) as told:
        fetch(url, tmp_path / "mine", date(2025, 1, 1), date(2025, 1, 2))
    has = "it has 2026-01-04 to 2026-01-05: choose among these days"
    assert str(told.value) == f"{url}: no file from 2025-01-01 to 2025-01-02; {has}"
    assert not (tmp_path / "mine").exists()


def entry(**other: Any) -> dict[str, Any]:
    return {"path": PATH, "rows": 1, "bytes": len(CONTENT), "sha256": SHA256, **other}


@contextlib.contextmanager
def pretending(index: Any, answer: Callable[[], Response] | None = None) -> Iterator[str]:
    """A server that lists what it likes."""
    app = FastAPI()

    @app.get("/tape")
    def listed() -> Any:
        return index

    @app.get("/tape/{path:path}")
    def file(path: str) -> Response:
        return answer() if answer else Response(CONTENT)

    with serving(app) as url:
        yield url


BAD_PATHS = (
    "../../../../etc/cron.d/x",
    "/etc/passwd",
    f"/{PATH}",
    f"../{PATH}",
    f"./{PATH}",
    PATH.replace("asset=BTC", ".."),
    PATH.replace("/asset=BTC", "/../asset=BTC"),
    PATH.replace("BTC", "B\\..\\TC"),
    PATH.replace("BTC", "%42TC"),
    PATH.replace("BTC", "x" * 300),
    PATH.replace("BTC", ""),
    f"{PATH}\x00",
    "day=2026-01-05",
    "",
    None,
    7,
)


@pytest.mark.parametrize("bad", [entry(path=path) for path in BAD_PATHS], ids=lambda one: repr(one["path"])[:40])
def test_a_list_with_a_path_that_might_lead_elsewhere_is_refused_whole(bad: dict[str, Any], tmp_path: Path) -> None:
    with pretending([entry(), bad]) as url, pytest.raises(UserError) as refused:
        fetch(url, tmp_path / "a" / "b")
    assert str(refused.value).startswith(f"{url}: its list of files has the path {bad['path']!r:.200}, which no coor")
    assert "nothing was downloaded" in str(refused.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bad", [entry(bytes="1"), entry(bytes=-1), entry(bytes=True), entry(sha256="x"), 7, {}])
def test_a_list_that_no_coordinator_writes_is_refused(bad: Any, tmp_path: Path) -> None:
    with pretending([bad]) as url, pytest.raises(UserError, match=f"{url}: its list of files has .*no coordinator"):
        fetch(url, tmp_path / "mine")


@pytest.mark.parametrize(
    ("sent", "wrong"),
    [
        (CONTENT, "its checksum is wrong"),
        (CONTENT[:-1], "its size is not the 10 bytes listed"),
        (CONTENT * 100, "its size is not the 10 bytes listed"),
    ],
)
def test_a_file_that_is_not_the_listed_one_is_not_kept(sent: bytes, wrong: str, tmp_path: Path) -> None:
    before = tmp_path / PATH
    before.parent.mkdir(parents=True)
    before.write_bytes(b"as it was")
    with pretending([entry()], lambda: Response(sent)) as url, pytest.raises(UserError) as refused:
        fetch(url, tmp_path)
    assert str(refused.value).startswith(f"{url}: {PATH}: {wrong}, so it was not kept; download again")
    assert files(tmp_path) == {PATH: b"as it was"}


def test_a_server_that_fails_is_asked_again_and_then_named(tmp_path: Path) -> None:
    asked: list[int] = []

    def fails() -> Response:
        asked.append(1)
        return Response(status_code=503)

    with pretending([entry()], fails) as url, pytest.raises(UserError, match=f"{url}: /tape/.* answered 503 .*; ask a"):
        fetch(url, tmp_path)
    assert len(asked) == module.ATTEMPTS
    assert files(tmp_path) == {}


def test_a_server_that_breaks_off_is_asked_again(archived: Competition, tmp_path: Path) -> None:
    app, cut = create_app(archived), []

    @app.middleware("http")
    async def cutting(request: Request, call_next: Any) -> Response:
        answer = await call_next(request)
        if request.url.path != "/tape" and not cut:
            cut.append(request.url.path)
            return Response(b"half", headers={"content-length": answer.headers["content-length"]})
        return answer

    with serving(app) as url:
        assert fetch(url, tmp_path / "mine").fetched == 2
    assert cut
    assert files(tmp_path / "mine") == files(archive_folder(archived))


def test_who_is_away_or_no_coordinator_is_named(tmp_path: Path) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(
        UserError, match=rf"{away}: does not answer \(ConnectError.*is the address right, and does `coo"
    ):
        fetch(away, tmp_path)
    with pytest.raises(UserError) as hidden:
        fetch(away.replace("//", "//me:hunter2@"), tmp_path)
    assert "hunter2" not in str(hidden.value)
    for url in ("coordinator:8000", "", "ftp://coordinator", "http://"):
        with pytest.raises(UserError, match="is no address of a coordinator; write it like http"):
            fetch(url, tmp_path)
    with serving(FastAPI()) as url, pytest.raises(UserError, match=f"{url}: no coordinator answers there"):
        fetch(url, tmp_path)
    with pretending({"files": []}) as url, pytest.raises(UserError, match=f"{url}: no coordinator answers there"):
        fetch(url, tmp_path)
    with pretending([]) as url, pytest.raises(UserError, match="it has archived nothing yet"):
        fetch(url, tmp_path)
    assert files(tmp_path) == {}


def test_a_folder_that_cannot_be_written_is_named(archived: Competition, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("a file, not a folder")
    wrong = rf"{tmp_path}/mine/.* cannot be written .*; mend the folder"
    with serving(create_app(archived)) as url, pytest.raises(UserError, match=wrong):
        fetch(url, tmp_path / "mine")


def test_it_needs_neither_dagster_nor_a_database() -> None:
    heavy = {"dagster", "sqlalchemy", "psycopg2", "fastapi", "pandas"}
    code = (
        "import sys, coordinator_dagster.feeds.download\n"
        f"found = {heavy} & {{one.partition('.')[0] for one in sys.modules}}\nassert not found, found"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
