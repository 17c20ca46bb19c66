"""`coordinator models add|check|remove|list`: submissions come in tried and whole, and go without a trace of half."""

import json
import socket
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from coordinator_dagster.cli.models import sign
from coordinator_dagster.packs import available_packs
from coordinator_dagster.runners.submission import about_of

HEAD = """from slots.tracker import TrackerBase

class Model(TrackerBase):
    seen = 0
    def tick(self, data):
        self.seen += 1
        self.data = data
    def predict(self, asset, horizon, step):
"""
GOOD = HEAD + "        return {'value': 0.001}\n"
Typed = Callable[..., tuple[int, str, str]]
Submit = Callable[..., Path]


@pytest.fixture
def typed(type_in: Typed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Typed:
    """Types `coordinator models …` where there is no database and no network; exit code, output, errors."""

    def refuse(*_: object) -> None:
        raise AssertionError("it must not connect to anything")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    monkeypatch.setenv("MODELS_DIR", "models")
    monkeypatch.chdir(tmp_path)
    return partial(type_in, "models")


@pytest.fixture
def submit(tmp_path: Path) -> Submit:
    """Writes a submission; returns its folder."""

    def write(source: str = GOOD, name: str = "mine", toml: str = "") -> Path:
        folder = tmp_path / "submitted" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "main.py").write_text(source)
        if toml:
            (folder / "model.toml").write_text(toml)
        return folder

    return write


def listed(typed: Typed) -> dict[str, dict[str, str]]:
    code, out, _ = typed("list", "--json")
    assert code == 0
    return {model["id"]: model for model in json.loads(out)["models"]}


def refused(typed: Typed, *arguments: str) -> str:
    """What was said when the command failed as it should."""
    code, _, err = typed(*arguments)
    assert code == 1 and err.startswith("error: ") and "Traceback" not in err.splitlines()[0]
    return err.removeprefix("error: ")


def test_a_model_comes_is_seen_changes_and_goes(typed: Typed, submit: Submit, tmp_path: Path) -> None:
    folder = submit(toml='# mine\nname = "My [bold] model"\n')
    code, out, err = typed("add", str(folder), "--player-id", "17", "--player-name", "Ada")
    assert (code, err) == (0, "") and "3 instants answered" in out
    first = listed(typed)["mine"]
    assert (first["name"], first["player_id"], first["player_name"]) == ("My [bold] model", "17", "Ada")
    assert f"added mine, deployment {first['deployment']}; it takes part from the next window on" in out
    assert (tmp_path / "models/mine/model.toml").read_text().startswith("# mine\n")
    assert "My [bold] model" in typed("list")[1]

    assert "is what it was" in typed("add", str(folder))[1], "whose it is stays without being told again"
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["mine"]
    submit(GOOD.replace("0.001", "0.002"))
    code, out, _ = typed("add", str(folder), "--no-check")
    second = listed(typed)["mine"]
    assert code == 0 and second["player_id"] == "17" and second["player_name"] == "Ada"
    assert f"updated mine: deployment {second['deployment']}, before {first['deployment']}" in out

    code, out, _ = typed("remove", "mine")
    assert code == 0 and "coordinator order leave mine" in out and listed(typed) == {}


NAMES = st.text(min_size=1, max_size=100).filter(lambda text: text.isprintable() and text == text.strip())


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(NAMES, NAMES)
@example('"', "\\")
@example("'''", '"' * 3)
@example("🎯", "# no comment")
def test_whose_it_is_comes_back_as_it_was_told(player: str, name: str) -> None:
    told = {"player_id": player, "player_name": name}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "model.toml").write_text('# mine\nname = "x"  # and this\nplayer_id = "claimed"\n')
        sign(folder, told, None)
        assert about_of(folder) == {"name": "x", **told}
        assert (folder / "model.toml").read_text().startswith('# mine\nname = "x"  # and this\n')


def test_a_model_of_another_player_is_not_taken_over(typed: Typed, submit: Submit) -> None:
    typed("add", str(submit(toml='player_id = "ada"\n')))
    before = listed(typed)["mine"]
    folder = submit(GOOD + "# other\n", toml='player_id = "bob"\n')
    said = refused(typed, "add", str(folder))
    assert "mine belongs to the player ada, and this is of bob" in said and "--force" in said
    assert refused(typed, "add", str(folder), "--player-id", "eve")
    assert listed(typed)["mine"] == before
    assert typed("add", str(folder), "--name", "bobs")[0] == 0
    assert typed("add", str(folder), "--player-id", "ada")[0] == 0, "the operator knows whose it is"
    assert listed(typed)["mine"]["player_id"] == "ada"
    assert typed("add", str(folder), "--force")[0] == 0
    assert listed(typed)["mine"]["player_id"] == "bob"


def test_what_is_there_and_broken_is_replaced_only_by_force(typed: Typed, submit: Submit, tmp_path: Path) -> None:
    (tmp_path / "models/mine").mkdir(parents=True)
    said = refused(typed, "add", str(submit()))
    assert "has no main.py" in said and "so whose mine is cannot be told" in said
    assert typed("add", str(submit()), "--force")[0] == 0 and list(listed(typed)) == ["mine"]


@pytest.mark.parametrize("id_", ["../mine", "Mine", "a/b", "", ".", "-x", "x" * 64, "a\nb"])
def test_an_id_leads_nowhere_else(typed: Typed, submit: Submit, tmp_path: Path, id_: str) -> None:
    folder, outside = submit(), tmp_path / "mine"
    outside.mkdir()
    assert "a model's id has up to 63 of" in refused(typed, "add", str(folder), f"--name={id_}")
    assert "there is no such model" in refused(typed, "remove", "--", id_)
    assert (outside.is_dir() and not (tmp_path / "models/mine/main.py").exists()) or id_ == ""


def test_who_is_not_there_is_said_with_who_is(typed: Typed, submit: Submit) -> None:
    assert "there is no such model in" in refused(typed, "remove", "mine")
    typed("add", str(submit()))
    for command in ("remove", "check"):
        assert "min: there is no such model" in (said := refused(typed, command, "min"))
        assert "(did you mean mine?)" in said
    assert "No such file or directory" in refused(typed, "add", "nowhere", "--name", "x")


def test_list_says_what_is_wrong_with_other_folders(typed: Typed, submit: Submit, tmp_path: Path) -> None:
    typed("add", str(submit()))
    (tmp_path / "models/Bad").mkdir()
    code, out, err = typed("list")
    assert code == 0 and "mine" in out
    assert err.count("warning: ") == 2 and "models/Bad: rename it" in err and "models/Bad: it has no main.py" in err
    assert len(json.loads(typed("list", "--json")[1])["faults"]) == 2


def test_all_faults_of_a_folder_and_of_the_options_are_said(typed: Typed, submit: Submit) -> None:
    folder = submit(toml="nam = 1\nplayer_id = 2\n")
    (folder / "link").symlink_to("/etc/passwd")
    for command in (["add", str(folder)], ["check", str(folder)]):
        said = refused(typed, *command).splitlines()
        assert len(said) == 3 and all(line.startswith(str(folder)) for line in said)
    said = refused(typed, "add", str(folder), "--player-id", "", "--player-name", "\x07").splitlines()
    assert [line.split(":")[1].strip() for line in said] == ["player_id = ''", "player_name = '\\x07'"]


def fault_of(typed: Typed, folder: Path) -> str:
    """What `check` says is wrong; `add` says the same and takes nothing in."""
    said = refused(typed, "check", str(folder))
    assert said.startswith(f"{folder}: ")
    assert refused(typed, "add", str(folder)).splitlines()[0].startswith(f"{folder}: ")
    assert listed(typed) == {}
    return said.removeprefix(f"{folder}: ")


ASKED = "instant 1 of 3, predict('BTC', 60, 60) for btc-60s: "
EXPECTED = '; expected is an answer such as {"value": 0.001}'


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import nowhere\n", "could not start: ModuleNotFoundError: No module named 'nowhere' (main.py:1)"),
        (
            HEAD + "        return {'value': 'up'}\n",
            f"{ASKED}FAILED: ValueError: value must be a finite number, got 'up'",
        ),
        (HEAD + "        return self.data['prices']\n", f"{ASKED}FAILED: KeyError: 'prices' (main.py:9){EXPECTED}"),
        (HEAD + "        import os; os._exit(3)\n", f"{ASKED}FAILED: the model's process died (exit code 3){EXPECTED}"),
        (
            HEAD + "        return {'value': 1 / (2 - self.seen)}\n",
            f"{ASKED.replace('1 of', '2 of')}FAILED: ZeroDivisionError: division by zero (main.py:9){EXPECTED}",
        ),
    ],
    ids=["import", "answer", "raises", "dies", "second"],
)
def test_check_says_what_was_asked_what_was_expected_and_what_came(
    typed: Typed, submit: Submit, source: str, said: str
) -> None:
    assert fault_of(typed, submit(source)).startswith(said)


def test_check_shows_an_answer_that_is_none_and_the_last_that_was_printed(typed: Typed, submit: Submit) -> None:
    prints = "        for n in range(100): print('line', n, '\\x1b[2J')\n        return {'value': float('nan')}\n"
    said = fault_of(typed, submit(HEAD + prints)).splitlines()
    assert "it answered {'value': nan}" in said[0]
    assert said[1] == "the last of what it printed:" and len(said) == 17
    assert said[-1] == "  line 99 \\x1b[2J" and said[2] == "  line 85 \\x1b[2J"


def test_check_shows_where_it_failed_in_the_participants_files(typed: Typed, submit: Submit) -> None:
    folder = submit(HEAD + "        import helper; return helper.guess()\n")
    (folder / "helper.py").write_text("def guess():\n    return 1 / 0\n")
    said = fault_of(typed, folder)
    assert "ZeroDivisionError: division by zero (helper.py:2)" in said.splitlines()[0]
    assert '  File "helper.py", line 2, in guess' in said, "and no path of ours"


def strict_pack(tmp_path: Path, **changes: object) -> Path:
    pack = json.loads(available_packs()["baseline"].read_text())
    (tmp_path / "strict.json").write_text(json.dumps(pack | {"id": "strict", **changes}))
    return tmp_path / "strict.json"


def test_check_asks_within_the_contests_deadline(
    typed: Typed, submit: Submit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACK", str(strict_pack(tmp_path, answer_deadline=0.4)))
    sleeps = HEAD + "        import time; time.sleep({}); return {{'value': 0.0}}\n"
    assert f"{ASKED}LATE: answered after " in fault_of(typed, submit(sleeps.format(0.5)))
    code, out, err = typed("check", str(submit(sleeps.format(0.3))))
    assert code == 0 and "ok  mine" in out
    assert err.startswith("warning: its slowest answer took 0.3") and "of 0.4 s allowed" in err
    monkeypatch.setenv("MODEL_RUNNER_TIMEOUT_SECONDS", "0.2")
    assert f"{ASKED}TIMEOUT: no answer within 0.2 s" in fault_of(typed, submit(sleeps.format(5)))


def test_check_warns_when_tick_raised_though_it_answered(typed: Typed, submit: Submit) -> None:
    code, _, err = typed("check", str(submit(GOOD.replace("self.data = data", "1 / 0"))))
    assert code == 0
    assert err.splitlines()[0] == "warning: instant 1 of 3: tick: ZeroDivisionError: division by zero (main.py:7)"


def test_check_gives_a_model_what_the_contest_gives(
    typed: Typed, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each config of the pack, and inputs with their full look-back that go on from instant to instant."""
    monkeypatch.setenv("PACK", "tournament")
    monkeypatch.setenv("FEED_CANDLES_WINDOW", "400")
    ends = HEAD + (
        "        candles, now = self.data['candles_1m'], self.data['asof_ts']\n"
        "        assert len(candles) == 400 and candles[-1]['ts'] == now - 60 and now % 900 == 0\n"
        "        if self.seen == 3: raise ValueError(f'{self.seen} {horizon} {now}')\n"
        "        return {'value': 0.0}\n"
    )
    said = fault_of(typed, submit(ends)).splitlines()
    assert "ValueError: 3 300 1704067200" in said[0] and "ValueError: 3 900 1704067200" in said[1]


def test_check_of_a_models_id_and_of_a_path_of_the_same_name(typed: Typed, submit: Submit, tmp_path: Path) -> None:
    typed("add", str(submit()))
    (tmp_path / "mine").mkdir()
    assert "ok  mine" in typed("check", "mine")[1]
    assert refused(typed, "check", "./mine").startswith("mine: it has no main.py")


def test_what_the_disk_refuses_is_said_without_a_traceback(typed: Typed, submit: Submit, tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file")
    assert "models: " in refused(typed, "add", str(submit()))
    assert "there is no such folder of models" in typed("list")[2]


def test_what_a_model_printed_is_shown_and_moves_no_terminal(typed: Typed, submit: Submit, tmp_path: Path) -> None:
    submit(name="mine")
    typed("add", "submitted/mine")
    logs = tmp_path / ".coordinator" / "logs" / "demo"
    assert "nothing it printed is kept" in refused(typed, "log", "mine")
    logs.mkdir(parents=True)
    printed = "first\n" + "x\n" * 60 + '  File "/model/main.py", line 7, in predict\n\x1b[31mred\n\udcff'
    (logs / "mine.log").write_text(printed, errors="surrogateescape")
    code, out, _ = typed("log", "mine", "--lines", "3")
    assert code == 0
    assert out.splitlines() == ['  File "main.py", line 7, in predict', r"\x1b[31mred", "�"]
    assert "../x: nothing" in refused(typed, "log", "../x")
