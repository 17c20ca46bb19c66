"""A submission is there as a whole or not at all, whoever looks and whatever dies meanwhile."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_models import GOOD, ROOT

from coordinator_dagster.errors import UserErrors
from coordinator_dagster.runners import placing
from coordinator_dagster.runners.folders import discover
from coordinator_dagster.runners.placing import alone, place, staged, take_away


@pytest.fixture
def models(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A submission with what is no part of one beside it."""
    folder = tmp_path / "source"
    for name in ("main.py", "sub/data.txt", ".git/config", "__pycache__/main.pyc", "sub/__pycache__/x.pyc", ".env"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(GOOD)
    return folder


def never() -> None:
    raise AssertionError("nobody else is at work")


def put(source: Path, models: Path, id_: str = "a") -> None:
    with alone(models, never), staged(source, id_, models) as copy:
        place(copy, models)


def seen(models: Path) -> list[str]:
    """What whoever looks sees of the models; nothing is wrong with any."""
    found, faults = discover(models)
    assert faults == []
    return list(found)


def hidden(models: Path) -> list[str]:
    return sorted(path.name.split("-")[0] for path in models.iterdir() if path.name.startswith("."))


def test_a_copy_holds_the_submission_alone_and_can_be_read_by_any_process(source: Path, models: Path) -> None:
    mask = os.umask(0o077)
    try:
        put(source, models)
    finally:
        os.umask(mask)
    paths = sorted((models / "a").rglob("*"))
    assert [str(path.relative_to(models / "a")) for path in paths] == ["main.py", "sub", "sub/data.txt"]
    assert [path.stat().st_mode & 0o777 for path in [models / "a", *paths]] == [0o755, 0o644, 0o755, 0o644]
    assert hidden(models) == []


@pytest.fixture(params=["exchanged", "one after the other"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """How two folders change places; not every system can do it in one step."""
    if request.param == "one after the other":
        monkeypatch.setattr(placing, "_renameat2", None)
    yield request.param


def test_an_update_takes_the_place_of_what_was_there(source: Path, models: Path, way: str) -> None:
    put(source, models)
    old = os.open(models / "a", os.O_RDONLY)
    (source / "main.py").write_text("new")
    put(source, models)
    assert (models / "a" / "main.py").read_text() == "new" and seen(models) == ["a"]
    assert hidden(models) == [".removed"]
    with os.fdopen(os.open("main.py", os.O_RDONLY, dir_fd=old)) as file:
        assert file.read() == GOOD, "a process at work in the old folder can still read it"
    os.close(old)


def test_nobody_sees_a_half_written_or_a_missing_model(source: Path, models: Path) -> None:
    put(source, models)
    over, pairs = threading.Event(), set()

    def look() -> None:
        while not over.is_set():
            folder = os.open(models / "a", os.O_RDONLY)
            found = []
            for name in ("main.py", "sub/data.txt"):
                with os.fdopen(os.open(name, os.O_RDONLY, dir_fd=folder)) as file:
                    found.append(file.read())
            os.close(folder)
            pairs.add(tuple(found))

    failed: list[BaseException] = []

    def watch() -> None:
        try:
            look()
        except BaseException as error:
            failed.append(error)

    watcher = threading.Thread(target=watch)
    watcher.start()
    for n in range(60):
        for name in ("main.py", "sub/data.txt"):
            (source / name).write_text(f"version {n}")
        put(source, models)
    over.set()
    watcher.join()
    assert failed == [] and len(pairs) > 5
    assert all(main == data for main, data in pairs)


def test_what_a_killed_add_leaves_is_invisible_and_swept(source: Path, models: Path) -> None:
    script = f"""
import time
from pathlib import Path
from coordinator_dagster.runners.placing import alone, staged
models = Path({str(models)!r})
with alone(models, lambda: None), staged(Path({str(source)!r}), "a", models):
    print("there", flush=True)
    time.sleep(60)
"""
    command = [sys.executable, "-c", script]
    killed = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert killed.stdout and killed.stdout.readline() == b"there\n"
    waited = threading.Event()
    other = threading.Thread(target=lambda: next_one(models, waited))
    other.start()
    assert waited.wait(5)
    time.sleep(0.2)  # it waits: one at a time
    assert hidden(models) == [".adding"] and seen(models) == []
    killed.kill()
    killed.wait()
    killed.stdout.close()
    other.join(5)
    assert not other.is_alive() and hidden(models) == []


def next_one(models: Path, waited: threading.Event) -> None:
    with alone(models, waited.set):
        pass


def test_a_copy_that_is_not_placed_leaves_nothing(source: Path, models: Path) -> None:
    with pytest.raises(ZeroDivisionError), alone(models, never), staged(source, "a", models):
        raise ZeroDivisionError
    assert list(models.iterdir()) == []
    (source / "link").symlink_to("/etc/passwd")
    with pytest.raises(UserErrors, match="link: is a symbolic link"), staged(source, "a", models):
        never()
    assert list(models.iterdir()) == []


def test_what_was_taken_away_is_deleted_an_hour_later(
    source: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(source, models)
    put(source, models, "b")
    (models / ".removed-not-ours").mkdir()
    with alone(models, never):
        take_away("a", models)
    assert seen(models) == ["b"]
    now = time.time()
    for minutes, left in ((59, 2), (61, 1)):
        monkeypatch.setattr(placing.time, "time", lambda minutes=minutes: now + 60 * minutes)
        with alone(models, never):
            assert len(hidden(models)) == left
    assert (models / ".removed-not-ours").is_dir()


def test_a_folder_that_becomes_a_link_while_it_is_copied_gives_nothing_of_ours(
    source: Path, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "data.txt").write_text("SECRET")
    checked = placing.read_submission

    def and_then_swapped(*given: object) -> object:
        found = checked(*given)  # type: ignore[arg-type]
        (source / "sub").rename(source / ".sub")
        (source / "sub").symlink_to(tmp_path / "secret")
        return found

    monkeypatch.setattr(placing, "read_submission", and_then_swapped)
    with pytest.raises(OSError, match="not the file any more"), staged(source, "a", models):
        pass
    assert list(models.iterdir()) == []
