"""The local runner beside models that hang, crash, lie or linger: the others answer, nothing is left."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
from local_models import GOOD, HEAD, PID, ROGUE, ROOT, Make, alive, body, one, pid, wait_gone, write


def test_a_hang_is_killed_and_a_fresh_process_answers_next(make: Make) -> None:
    ways = {"spins": "while True: pass", "sleeps": "time.sleep(60)"}
    runner = make(
        good=GOOD,
        **{k: body(f"if self.data['n'] == 1:\n    {way}\nreturn {{'value': os.getpid()}}") for k, way in ways.items()},
    )
    before = one(runner, n=0)
    pids = {way: pid(runner, way) for way in ways}
    hung, after = one(runner, timeout=0.3, n=1), one(runner, n=2)
    assert hung["good"].status == "SUCCESS" and hung["good"].elapsed < 0.1
    for way in ways:
        assert hung[way].status == "TIMEOUT" and 0.3 <= hung[way].elapsed < 0.5
        assert not alive(pids[way])
        assert after[way].status == "SUCCESS" and after[way].output != before[way].output


def test_a_crash_fails_and_a_fresh_process_answers_next(make: Make) -> None:
    crashes = {"leaves": "os._exit(3)", "segfaults": "ctypes.string_at(0)", "aborts": "os.abort()"}
    runner = make(
        good=GOOD,
        **{k: body(f"if self.data['n'] == 1: {v}\nreturn {{'value': 7}}") for k, v in crashes.items()},
    )
    for _ in range(2):
        crashed, after = one(runner, n=1), one(runner, n=2)
        assert crashed["good"].status == "SUCCESS"
        for model, how in (("leaves", "exit code 3"), ("segfaults", "signal 11"), ("aborts", "signal 6")):
            assert (crashed[model].status, crashed[model].reason) == (
                "FAILED",
                f"the model's process died ({how})",
            )
            assert after[model].output == {"value": 7}


def test_a_death_between_instants_costs_nothing(make: Make) -> None:
    runner = make(a=HEAD + PID)
    before = one(runner)["a"]
    psutil.Process(pid(runner, "a")).kill()
    time.sleep(0.05)
    after = one(runner)["a"]
    assert after.status == "SUCCESS" and after.output != before.output


def test_who_leaves_after_answering_is_started_between_instants(make: Make) -> None:
    runner = make(a=body("import threading\nthreading.Timer(0.1, os._exit, (0,)).start()\nreturn {'value': 1}"))
    for _ in range(3):
        assert one(runner)["a"].status == "SUCCESS"
        assert wait_gone([pid(runner, "a")]) == []
        time.sleep(0.1)  # its last thread closes the socket
        runner.rest()
        assert alive(pid(runner, "a"))


def test_prints_go_to_a_bounded_log_and_not_into_frames(make: Make, tmp_path: Path) -> None:
    source = body("print('hello'); os.write(1, b'raw'); os.write(2, b'{}'); return {'value': 1}")
    runner = make(a="print('imported')\n" + source, b=body("print('x' * 400_000); return {'value': 1}"))
    for _ in range(20):
        answers = one(runner)
        assert answers["a"].output == answers["b"].output == {"value": 1}
    log = (tmp_path / "logs" / "a.log").read_text()
    assert log.startswith("imported\n") and log.count("hello") == 20
    assert (tmp_path / "logs" / "b.log").stat().st_size < 1_700_000


def test_a_huge_answer_fails_alone(make: Make) -> None:
    runner = make(a=body("return {'value': 'x' * (5_000_000 if self.data['n'] else 1_000_000)}"), good=GOOD)
    answers = one(runner, n=1)
    assert answers["a"].status == "FAILED" and "too long" in (answers["a"].reason or "")
    assert answers["good"].status == "SUCCESS"
    assert len(one(runner, n=0)["a"].output["value"]) == 1_000_000  # what is allowed arrives whole


def test_an_answer_of_very_many_values_fails_alone(make: Make) -> None:
    lists = body("return {'value': [[]] * (9_000 if self.data['n'] else 250_000)}")
    runner = make(
        a=lists,
        b=ROGUE
        + """
    def predict(self, asset, horizon, step):
        answer = b'{"tick_us":1,"tick_error":null,"answers":[{"us":1,"value":[' + b'[],' * 200_000 + b'1]}]}'
        sock.sendall(len(answer).to_bytes(4, 'big') + answer); time.sleep(60)
""",
    )
    answers = one(runner, n=0)
    assert answers["a"].reason == "the answer is too large: 500002 values; it may have 20000"
    assert answers["b"].reason == "sent an answer of too many values"
    assert one(runner, n=1)["a"].status == "SUCCESS"


def test_forged_frames_end_their_sender(make: Make) -> None:
    forged = {
        "big": ("(5 << 20).to_bytes(4, 'big') + b'x'", "bytes; "),
        "noise": ("(3).to_bytes(4, 'big') + b'???'", "malformed"),
        "empty": ("(2).to_bytes(4, 'big') + b'{}'", "malformed"),
        "deep": ("(200_000).to_bytes(4, 'big') + b'[' * 200_000", "too many values"),
        "twice": ("2 * ((2).to_bytes(4, 'big') + b'{}')", "more than it was asked"),
    }
    rogue = (
        ROGUE
        + """
    def predict(self, asset, horizon, step):
        if self.data['n']: sock.sendall(%s); time.sleep(60)
        return {'value': os.getpid()}
"""
    )
    runner = make(good=GOOD, **{k: rogue % frame for k, (frame, _) in forged.items()})
    one(runner, n=0)
    pids = {model: pid(runner, model) for model in forged}
    during, after = one(runner, n=1), one(runner, n=0)
    assert during["good"].status == "SUCCESS"
    for model, (_, reason) in forged.items():
        assert during[model].status == "FAILED" and reason in (during[model].reason or "")
        assert during[model].elapsed < 1 and not alive(pids[model])
        assert after[model].status == "SUCCESS"


def test_an_unsolicited_frame_ends_its_sender(make: Make) -> None:
    rogue = (
        ROGUE
        + """
    def predict(self, asset, horizon, step):
        import threading
        threading.Timer(0.05, lambda: sock.sendall(bytes([0, 0, 0, 2]) + b'{}')).start()
        return {'value': 1}
"""
    )
    runner = make(rogue=rogue)
    assert one(runner)["rogue"].status == "SUCCESS"
    time.sleep(0.2)
    answer = one(runner)["rogue"]
    assert answer.status == "FAILED" and "not asked for" in (answer.reason or "")
    assert one(runner)["rogue"].status == "SUCCESS"


def test_models_that_cannot_start_fail_and_the_other_is_unaffected(make: Make, tmp_path: Path) -> None:
    bad = {
        "imports": ("import nothing", "ModuleNotFoundError: No module named 'nothing' (main.py:1)"),
        "syntax": ("x = (", "SyntaxError: '(' was never closed (main.py:1)"),
        "classless": ("x = 1", "LookupError: main.py has no subclass of slots.tracker.TrackerBase"),
        "raises": (
            GOOD + "    def __init__(self): 1 / 0\n",
            "ZeroDivisionError: division by zero (main.py:7)",
        ),
        "leaves": ("import os; os._exit(4)", "the model's process died (exit code 4)"),
        "sleeps": ("import time; time.sleep(60)", "not ready within 1 s"),
    }
    runner = make(start_timeout=1.0, good=GOOD, **{k: source for k, (source, _) in bad.items()})
    for n in range(2):
        answers = one(runner, n=n)
        assert list(answers) == sorted(answers)
        assert answers["good"].output == {"value": n + 60} and answers["good"].elapsed < 0.1
        for model, (_, reason) in bad.items():
            assert (answers[model].status, answers[model].reason) == ("FAILED", f"could not start: {reason}")
    for model in bad:
        write(tmp_path, model, GOOD)
    assert one(runner)["raises"].status == "FAILED"  # only a new window tries again
    runner.fresh()
    assert {a.status for a in one(runner).values()} == {"SUCCESS"}


def test_a_slow_restart_holds_up_nobody(make: Make, tmp_path: Path) -> None:
    source = "import pathlib, time\nif pathlib.Path(__file__).with_name('flag').exists(): time.sleep(0.6)\n"
    runner = make(bad=source + body("if self.data['n'] == 1: os._exit(1)\nreturn {'value': 1}"), good=GOOD)
    one(runner, n=0)
    (tmp_path / "models" / "bad" / "flag").touch()
    one(runner, n=1)
    early = one(runner, timeout=0.2, n=2)
    assert (early["bad"].status, early["bad"].reason) == ("FAILED", "could not start: not ready yet")
    assert early["good"].status == "SUCCESS" and early["good"].elapsed < 0.1
    late = one(runner, timeout=5, n=2)
    assert late["bad"].status == "SUCCESS" and late["bad"].elapsed > 0.1 and late["good"].elapsed < 0.1


def test_a_slow_model_does_not_delay_the_measure_of_a_fast_one(make: Make) -> None:
    answers = one(make(fast=GOOD, slow=body("time.sleep(0.4); return {'value': 'x' * 900_000}")))
    assert answers["fast"].elapsed < 0.1 and 0.4 <= answers["slow"].elapsed < 0.6
    assert 400 <= (answers["slow"].exec_time_ms or 0) < 500


def test_close_leaves_nothing(make: Make) -> None:
    before = set(psutil.Process().children(recursive=True))  # other tests' helpers
    runner = make(a=GOOD, hog=body("import subprocess; return {'value': subprocess.Popen(['sleep', '60']).pid}"))
    assert "PermissionError" in (one(runner)["hog"].reason or "")
    pids = [p.pid for p in psutil.Process().children(recursive=True) if p not in before]
    models = {pid(runner, "a"), pid(runner, "hog")}
    starter = psutil.Process(pid(runner, "a")).parent()
    assert models < set(pids) and len(pids) in (3, 5)  # with what starts them; bubblewrap is two more
    assert starter and starter.num_threads() == 1  # it forks
    runner.close()
    assert wait_gone(pids) == [] and set(psutil.Process().children(recursive=True)) <= before


def test_a_killed_coordinator_leaves_nothing(make: Make, tmp_path: Path) -> None:
    write(tmp_path, "spin", body("while True: pass"))
    write(tmp_path, "good", GOOD)
    script = f"""
from pathlib import Path
from coordinator_dagster.runners.local import LocalRunner
from coordinator_dagster.runners.base import Call
runner = LocalRunner(Path({str(tmp_path / "models")!r}))
runner.fresh()
print("ready", flush=True)
runner.ask(b'{{"n": 1}}', [Call(["BTC", 60, 60])], 60)
"""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=env)
    assert parent.stdout and parent.stdout.readline() == b"ready\n"
    time.sleep(0.2)  # one of the models spins in `predict`
    pids = [p.pid for p in psutil.Process(parent.pid).children(recursive=True)]
    assert len(pids) in (3, 5) and all(alive(pid) for pid in pids)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert wait_gone(pids) == []


def test_the_loss_of_the_zygote_is_our_fault_and_mended(make: Make) -> None:
    runner = make(a=body("if self.data['n'] == 1: time.sleep(5)\nreturn {'value': 1}"), b=GOOD)
    one(runner)
    assert runner._lives.zygote
    threading.Timer(0.1, runner._lives.zygote.kill).start()
    assert one(runner, n=1)["a"].status == "PLATFORM_FAULT"
    assert {a.status for a in one(runner, n=2).values()} == {"SUCCESS"}
