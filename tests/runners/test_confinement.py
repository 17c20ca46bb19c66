"""What the models are shut in with: found out, told, required; and that nobody burns anything while nobody is asked."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from local_models import GOOD, HEAD, ROOT, Make, body, one, pid, write

from coordinator_dagster.cli.doctor import confinement
from coordinator_dagster.competition import Competition
from coordinator_dagster.errors import UserErrors
from coordinator_dagster.runners import sandbox
from coordinator_dagster.runners.choice import open_local_runner
from coordinator_dagster.runners.layers import LAYERS
from coordinator_dagster.runners.local import LocalRunner
from coordinator_dagster.runtime import open_runtime


@pytest.fixture
def no_bubblewrap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "find", lambda: None)


def test_live_a_missing_layer_is_a_refusal_that_says_what_to_do(
    no_bubblewrap: None, competition: Callable[..., Competition], model_folder: Callable[[str, str], Path]
) -> None:
    models, before = model_folder("a", GOOD), psutil.Process().children(recursive=True)
    with (
        open_local_runner(competition(mode="live", models_dir=models, model_layers_waived="user")) as runner,
        pytest.raises(UserErrors) as refused,
    ):
        runner.fresh()
    told = str(refused.value)
    assert "MODEL_LAYERS_WAIVED: models are not confined by bubblewrap" in told and "apt-get install" in told
    assert "by user" not in told and psutil.Process().children(recursive=True) == before
    with open_local_runner(
        competition(mode="live", models_dir=models, model_layers_waived="bubblewrap,user")
    ) as runner:
        assert one(runner)["a"].status == "SUCCESS"
    with open_local_runner(competition(mode="replay", models_dir=models, model_layers_waived="")) as runner:
        assert one(runner)["a"].status == "SUCCESS"


def test_a_layer_that_fails_for_one_model_only_keeps_its_code_from_running(no_bubblewrap: None, tmp_path: Path) -> None:
    write(tmp_path, "a", "print('it ran')\n" + GOOD)
    with LocalRunner(tmp_path / "models", log_dir=tmp_path / "logs", preload=[]) as runner:
        runner.confinement()
        runner._lives.required = ["bubblewrap"]  # as if it had been there for the probe
        reason = one(runner)["a"].reason or ""
    assert reason.startswith("could not start: not confined: bubblewrap: ")
    assert (tmp_path / "logs" / "a.log").read_text() == ""


def test_a_bubblewrap_that_does_not_work_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sandbox, "find", lambda: str(broken))
    write(tmp_path, "a", GOOD)
    with LocalRunner(tmp_path / "models", preload=[]) as runner:
        assert "uid map: Permission denied" in runner.confinement()["bubblewrap"]
        assert one(runner)["a"].status == "SUCCESS"


@pytest.mark.parametrize("value", ["seccomp,moat", "everything"])
def test_a_layer_that_there_is_not_cannot_be_waived(competition: Callable[..., Competition], value: str) -> None:
    with pytest.raises(UserErrors, match=r"MODEL_LAYERS_WAIVED.*it takes all, or some of bubblewrap, user"):
        competition(model_layers_waived=value)


def test_doctor_and_the_ui_name_what_is_missing(
    no_bubblewrap: None, competition: Callable[..., Competition], model_folder: Callable[[str, str], Path]
) -> None:
    made = competition(mode="live", models_dir=model_folder("a", GOOD), model_layers_waived="user")
    found = {one.what: one for one in confinement(made)}
    assert list(found) == [f"confinement by {layer}" for layer in LAYERS]
    assert found["confinement by bubblewrap"].remedy and not found["confinement by user"].remedy
    with open_runtime(competition(mode="replay", models_dir=made.settings.models_dir)) as runtime:
        assert runtime.confinement is None
        runtime.runner.fresh()
        assert runtime.confinement and "bubblewrap" in runtime.confinement


def test_models_are_not_started_anew_with_less_around_them(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = make(a=GOOD)
    assert one(runner)["a"].status == "SUCCESS" and runner.missing is not None and runner._lives.zygote
    if "bubblewrap" in runner.missing:
        pytest.skip("there was none")
    with monkeypatch.context() as patch:
        patch.setattr(sandbox, "find", lambda: None)  # as where the user has no pids left
        runner._lives.zygote.kill()
        time.sleep(0.2)
        for _ in range(2):
            answer = one(runner)["a"]
            assert answer.status == "PLATFORM_FAULT" and "missing now: bubblewrap" in (answer.reason or "")
    one(runner)
    assert one(runner)["a"].status == "SUCCESS" and "bubblewrap" not in runner.missing


WAKES = """
import signal
signal.signal(signal.SIGCONT, lambda *_: None)
create, start = {"x86_64": (222, 223), "aarch64": (107, 110)}[os.uname().machine]
for n in range(1, 1000):  # SIGCONT every two milliseconds
    told, timer, when = (ctypes.c_int * 16)(0, 0, signal.SIGCONT, 0), ctypes.c_int(), (ctypes.c_long * 4)(0, 0)
    when[2:] = divmod(n * 2_000_000, 10**9)
    ctypes.CDLL(None).syscall(create, 1, told, ctypes.byref(timer))
    ctypes.CDLL(None).syscall(start, timer, 0, when, None)
"""


@pytest.mark.parametrize("wakes", ["", WAKES])
def test_between_instants_of_a_live_run_models_stand_still(make: Make, wakes: str) -> None:
    spin = "import threading\n" + HEAD.replace(
        "class Model", "threading.Thread(target=lambda: [None for _ in iter(int, 1)], daemon=True).start()\nclass Model"
    )
    spin = spin.replace("class Model", f"{wakes}\nclass Model")
    runner = make(a=spin + body("return {'value': 1}").removeprefix(HEAD))
    one(runner)
    process = psutil.Process(pid(runner, "a"))
    runner.rest()
    time.sleep(0.1)
    before = process.cpu_times().user
    time.sleep(0.3)
    assert process.cpu_times().user == before
    assert one(runner)["a"].status == "SUCCESS"
    time.sleep(0.3)
    assert process.cpu_times().user > before


def test_without_bubblewrap_what_lies_beside_the_base_class_is_not_readable(
    no_bubblewrap: None, tmp_path: Path
) -> None:
    reads = f"try: return {{'value': len(open({str(ROOT / 'pyproject.toml')!r}).read())}}\nexcept OSError: return None"
    write(tmp_path, "a", body(reads))
    with LocalRunner(tmp_path / "models", preload=[]) as runner:
        if "landlock" in runner.confinement():
            pytest.skip("there is no Landlock")
        assert one(runner)["a"].output is None


def test_a_model_has_few_threads_whoever_runs_it(make: Make) -> None:
    grows = """import threading
threading.stack_size(1 << 16)
n = 0
try:
    while n < 100: threading.Thread(target=time.sleep, args=(60,), daemon=True).start(); n += 1
except RuntimeError: pass
return {'value': n}"""
    runner = make(a=body(grows))
    inside, outside, _ = map(int, Path("/proc/self/uid_map").read_text().split()[:3])
    if os.getuid() - inside + outside == 0 and (os.getuid() or "user" in runner.confinement()):
        pytest.skip("root's processes are not counted")
    assert one(runner)["a"].output == {"value": 15}


@pytest.mark.skipif(sandbox.find() is None, reason="bubblewrap is not installed")
def test_temporary_files_have_a_place_that_each_model_has_for_itself(make: Make) -> None:
    keeps = """
import tempfile
with open(tempfile.gettempdir() + "/kept", "a") as kept: kept.write("x")
return {'value': [os.listdir("/scratch"), tempfile.gettempdir(), len(open("/scratch/kept").read())]}"""
    runner = make(a=body(keeps.strip()), b=body(keeps.strip()))
    if "bubblewrap" in runner.confinement():
        pytest.skip("there is none")
    for n in (1, 2):
        assert {one_.output["value"][2] for one_ in one(runner).values()} == {n}
    assert one(runner)["a"].output["value"][:2] == [["kept"], "/scratch"]
