"""Models that are added, changed and taken away while the runner is at work."""

import logging
import os
import shutil
import threading
import time
from pathlib import Path

import pytest
from local_models import GOOD, HEAD, PID, Make, alive, body, one, pid, wait_gone, write

from coordinator_dagster.errors import UserError, UserErrors
from coordinator_dagster.runners.folders import ModelFolders
from coordinator_dagster.runners.local import LocalRunner


def deployments(runner: LocalRunner) -> dict[str, str]:
    return {model.id: model.deployment for model in runner.models()}


def test_what_came_and_what_changed_is_asked_from_the_next_instant_on(make: Make, tmp_path: Path) -> None:
    runner = make(changes=HEAD + PID, stays=HEAD + PID)
    before, told = one(runner), deployments(runner)
    old = pid(runner, "changes")
    assert runner.rest() is False
    write(tmp_path, "changes", body("return {'value': 'new'}"))
    write(tmp_path, "comes", GOOD)
    assert deployments(runner) == told, "not while an instant may be under way"
    assert runner.rest() is True
    now = deployments(runner)
    assert list(now) == ["changes", "comes", "stays"]
    assert now["stays"] == told["stays"] and now["changes"] != told["changes"]
    after = one(runner)
    assert after["changes"].output == {"value": "new"} and after["comes"].output == {"value": 60}
    assert after["stays"].output == before["stays"].output, "who did not change keeps its process"
    assert wait_gone([old]) == []
    assert runner.rest() is False


def test_a_changed_model_starts_while_the_others_rest(make: Make, tmp_path: Path) -> None:
    runner = make(a=GOOD)
    one(runner)
    write(tmp_path, "a", "import time\nBORN = time.monotonic()\n" + body("return {'value': BORN}"))
    runner.rest()
    time.sleep(1)
    asked = time.monotonic()
    assert one(runner)["a"].output["value"] < asked, "it did not wait for the next instant"


def test_a_model_whose_folder_has_gone_is_ended_and_absent_until_it_is_back(make: Make, tmp_path: Path) -> None:
    runner = make(goes=HEAD + PID, stays=GOOD)
    one(runner)
    old = pid(runner, "goes")
    shutil.move(tmp_path / "models" / "goes", tmp_path / "aside")
    assert runner.rest() is False, "it stays known"
    assert not alive(old)
    for _ in range(2):
        answer = one(runner)["goes"]
        assert (answer.status, answer.reason) == ("ABSENT", "its folder has gone")
        runner.rest()
    shutil.move(tmp_path / "aside", tmp_path / "models" / "goes")
    assert runner.rest() is False, "it is what it was"
    assert one(runner)["goes"].status == "SUCCESS"


def test_a_broken_folder_keeps_its_process_and_that_is_said_once(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runner = make(a=HEAD + PID)
    pid, told = one(runner)["a"].output["value"], deployments(runner)
    write(tmp_path, "a", GOOD)
    toml = tmp_path / "models" / "a" / "model.toml"
    toml.write_text("nam = 1\n")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert runner.rest() is False
            assert one(runner)["a"].output == {"value": pid}
    assert deployments(runner) == told
    assert len(caplog.messages) == 1 and "nam = 1: unknown field" in caplog.messages[0] and runner.faults
    toml.unlink()
    assert runner.rest() is True and runner.faults == []
    assert one(runner)["a"].output == {"value": 60}
    toml.write_text("nam = 1\n")
    runner.rest()
    assert len(caplog.messages) == 2, "it is broken again"


def test_a_model_with_a_broken_folder_cannot_start_and_says_why_until_it_is_mended(make: Make, tmp_path: Path) -> None:
    runner = make(a=GOOD, b=GOOD)
    one(runner)
    toml = tmp_path / "models" / "a" / "model.toml"
    toml.write_text("nam = 1\n")
    runner.fresh()
    answers = one(runner)
    assert answers["a"].status == "FAILED" and answers["b"].status == "SUCCESS"
    assert "could not start: " in (answers["a"].reason or "") and "nam = 1" in (answers["a"].reason or "")
    toml.unlink()
    assert runner.rest() is False, "the same deployment as before"
    assert one(runner)["a"].status == "SUCCESS"


def test_code_never_answers_under_the_deployment_of_other_code(make: Make, tmp_path: Path) -> None:
    """A model dies in the instant in which its folder changes: the new code starts under its own name, or not."""
    dies = "if self.data['n'] == 1: time.sleep(0.5); os._exit(1)\n"
    runner = make(a=body(dies + "return {'value': 'old'}"))
    assert one(runner, n=0)["a"].output == {"value": "old"}
    old = deployments(runner)
    change = threading.Timer(0.1, write, [tmp_path, "a", body("return {'value': 'new'}")])
    change.start()
    assert one(runner, n=1)["a"].status == "FAILED"
    change.join()
    assert deployments(runner) == old, "what is told after an instant is who answered in it"
    after = one(runner, n=1)["a"]
    assert after.output == {"value": "new"} and deployments(runner) != old
    assert runner.rest() is True, "whoever keeps the models' names learns of it"


def test_without_its_folder_of_models_the_runner_keeps_all_and_charges_nobody(make: Make, tmp_path: Path) -> None:
    runner = make(a=body("if self.data['n'] == 1: os._exit(1)\nreturn {'value': os.getpid()}"), b=HEAD + PID)
    before = one(runner, n=0)
    (tmp_path / "models").rename(tmp_path / "unmounted")
    assert runner.rest() is False
    assert "there is no such folder of models" in runner.faults[0]
    assert one(runner, n=0) and one(runner, n=0)["b"].output == before["b"].output
    one(runner, n=1)
    lost = one(runner, n=0)
    assert lost["a"].status == "PLATFORM_FAULT" and lost["b"].status == "SUCCESS"
    with pytest.raises(UserError, match="there is no such folder of models"):
        runner.fresh()
    (tmp_path / "unmounted").rename(tmp_path / "models")
    runner.rest()
    assert {answer.status for answer in one(runner, n=0).values()} == {"SUCCESS"} and runner.faults == []


def test_the_folder_of_models_may_be_a_link_that_moves(tmp_path: Path) -> None:
    for release in ("1", "2"):
        write(tmp_path / release, "a", body(f"return {{'value': {release}}}"))
    link = tmp_path / "current"
    link.symlink_to(tmp_path / "1" / "models")
    with LocalRunner(link) as runner:
        assert one(runner)["a"].output == {"value": 1}
        link.unlink()
        link.symlink_to(tmp_path / "2" / "models")
        assert runner.rest() is True and one(runner)["a"].output == {"value": 2}


def test_one_bad_folder_is_refused_or_tolerated(tmp_path: Path) -> None:
    write(tmp_path, "good", GOOD)
    (tmp_path / "models" / "bad").mkdir()
    with pytest.raises(UserErrors, match=r"no main\.py"):
        LocalRunner(tmp_path / "models")
    with LocalRunner(tmp_path / "models", tolerant=True) as runner:
        assert list(one(runner)) == ["good"] and "no main.py" in runner.faults[0]
        write(tmp_path, "bad", GOOD)
        assert runner.rest() is True and list(one(runner)) == ["bad", "good"]


def test_only_what_changed_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(100):
        write(tmp_path, f"m{n:02}", GOOD)
        for name in ("helper.py", "model.toml", "weights.json"):
            (tmp_path / "models" / f"m{n:02}" / name).write_text("")
    folders, read = ModelFolders(tmp_path / "models"), list[str]()
    monkeypatch.setattr(
        "coordinator_dagster.runners.submission.read_file",
        lambda path, *limit, real=Path.read_bytes, inode=None: read.append(path.parent.name) or real(path),
    )
    folders.look()
    assert len(read) == 500, "four files, and model.toml to be understood"
    time.sleep(0.15)  # what is younger may still change and look the same
    first = folders.look()
    read.clear()
    took = []
    for _ in range(5):
        began = time.perf_counter()
        assert folders.look() == first
        took.append(time.perf_counter() - began)
    assert read == [] and min(took) < 0.02, "5 ms on an idle machine"
    (tmp_path / "models" / "m07" / "helper.py").write_text("x = 1")
    found = folders.look()
    assert set(read) == {"m07"} and [name for name in found if found[name].info != first[name].info] == ["m07"]


@pytest.mark.parametrize("when", ["at once", "later"])
def test_a_change_that_keeps_size_and_time_is_seen(tmp_path: Path, when: str) -> None:
    write(tmp_path, "a", GOOD)
    file = tmp_path / "models" / "a" / "main.py"
    folders = ModelFolders(tmp_path / "models")
    if when == "later":
        time.sleep(0.15)
    before, stat = folders.look()["a"], file.stat()
    file.write_text(GOOD.replace("+ horizon", "- horizon"))
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert folders.look()["a"].info != before.info


def test_a_folder_that_changes_while_it_is_read_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "a", GOOD)
    folders, real, busy = ModelFolders(tmp_path / "models"), Path.read_bytes, True

    def growing(path: Path, *limit: int, inode: int | None = None) -> bytes:
        content = real(path)
        if busy:
            path.write_bytes(content + b"#\n")
        return content

    monkeypatch.setattr("coordinator_dagster.runners.submission.read_file", growing)
    (fault,) = folders.look()["a"].faults
    assert fault.endswith("models/a: is being written; it counts once that is over")
    busy = False
    assert folders.look()["a"].info


def test_resting_costs_milliseconds(make: Make, tmp_path: Path) -> None:
    runner = make(**{f"m{n}": GOOD for n in range(10)})
    one(runner)
    time.sleep(0.15)
    took = []
    for _ in range(6):
        began = time.perf_counter()
        runner.rest()
        took.append(time.perf_counter() - began)
    assert min(took) < 0.01
