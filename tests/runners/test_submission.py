"""What a submission's folder may be, and what is said of one that may not."""

import os
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from local_models import GOOD, Make, one

from coordinator_dagster.errors import UserErrors
from coordinator_dagster.runners import submission
from coordinator_dagster.runners.base import ModelInfo
from coordinator_dagster.runners.folders import discover
from coordinator_dagster.runners.submission import SLUG, checked_about, read_submission, walk

FIELDS = ("name", "player_id", "player_name", "deployment")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A submission that is in order."""
    (tmp_path / "models" / "a").mkdir(parents=True)
    (tmp_path / "models" / "a" / "main.py").write_text(GOOD)
    return tmp_path / "models" / "a"


def read(folder: Path) -> ModelInfo:
    return read_submission(folder, walk(folder))


def faults(folder: Path) -> list[str]:
    """What is said of it; each begins with where the fault is."""
    with pytest.raises(UserErrors) as caught:
        read(folder)
    assert all(fault.startswith(str(folder)) and fault.isprintable() for fault in caught.value.faults)
    return [fault.removeprefix(str(folder)).lstrip("/: ") for fault in caught.value.faults]


def test_without_a_model_toml_everything_is_called_as_the_folder(folder: Path) -> None:
    found = read(folder)
    assert (found.id, found.name, found.player_id, found.player_name) == ("a", "a", "a", "a")
    assert len(found.deployment) == 12


def test_the_model_toml_says_who_it_is(folder: Path) -> None:
    plain = read(folder).deployment
    (folder / "model.toml").write_text('name = "Ä 1"\nplayer_id = "17"\nplayer_name = "Ada"\ndeployment = "v2"\n')
    found = read(folder)
    assert (found.id, found.name, found.player_id, found.player_name) == ("a", "Ä 1", "17", "Ada")
    label, _, digest = found.deployment.partition("-")
    assert label == "v2" and len(digest) == 12 and digest != plain, "the file is one of the submission's"


def test_a_player_without_a_name_is_called_by_the_id(folder: Path) -> None:
    (folder / "model.toml").write_text('player_id = "17"\n')
    assert read(folder).player_name == "17"


def test_every_fault_of_a_folder_is_said_at_once(folder: Path) -> None:
    (folder / "main.py").unlink()
    (folder / "model.toml").write_text(
        f'nam = "x"\nplayer_id = 17\nplayer_name = "a\\u0007b"\nname = "{"x" * 101}"\ndeployment = " v1"\n'
    )
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "sub").symlink_to("/etc")
    os.mkfifo(folder / "pipe")
    (folder / "od\nd.py").write_text("")
    said = faults(folder)
    rule = ": write 1 to 100 printable characters in quotes, without a space at either end"
    assert sorted(said) == sorted(
        [
            f"model.toml: name = '{'x' * 79}{rule}",  # cut
            f"model.toml: player_id = 17{rule}",
            f"model.toml: player_name = 'a\\x07b'{rule}",
            f"model.toml: deployment = ' v1'{rule}",
            "model.toml: nam = 'x': unknown field (did you mean name?); rename or remove it",
            "it has no main.py; add one with a subclass of the base class, or a package main",
            "link: is a symbolic link; put the file itself there",
            "sub: is a symbolic link; put the file itself there",
            "pipe: is neither a file nor a folder; remove it",
            "od\\nd.py: a name that cannot be shown; rename it",
        ]
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'name = "a', "not TOML: "),
        (b"\xff", "not TOML: 'utf-8' codec"),
        (b"x = " + b"[" * 10_000, "not TOML: maximum recursion depth"),
        (b"#" * 16_385, "longer than 16384 bytes"),
        (b'"\\u001b[31m" = 1', "unknown field"),
        (b'[name]\nx = "y"', "model.toml: name: write 1 to"),
    ],
    ids=["cut", "bytes", "deep", "long", "escape", "table"],
)
def test_a_model_toml_that_is_none(folder: Path, content: bytes, said: str) -> None:
    (folder / "model.toml").write_bytes(content)
    (found,) = faults(folder)
    assert found.startswith("model.toml: ") and said in found


def test_what_is_said_of_a_folder_is_bounded(folder: Path) -> None:
    for n in range(500):
        (folder / f"link{n:03}").symlink_to("/etc/passwd")
    said = faults(folder)
    assert len(said) == 11 and said[-1] == "and 490 faults more"


def test_its_files_are_counted_and_weighed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(4):
        (folder / f"data{n}").write_bytes(b"x" * 100)
    monkeypatch.setattr(submission, "MAX_ENTRIES", 5)
    monkeypatch.setattr(submission, "MAX_BYTES", 400 + len(GOOD))
    read(folder)
    (folder / "data0").write_bytes(b"x" * 101)
    largest = max(101, len(GOOD))
    (said,) = faults(folder)
    assert said == (
        f"its files have {401 + len(GOOD)} bytes; {400 + len(GOOD)} are allowed; "
        f"the largest is {'main.py' if largest == len(GOOD) else 'data0'} ({largest} bytes)"
    )
    (folder / "folder").mkdir()
    (said,) = faults(folder)
    assert said == "has more than 5 files and folders; remove what the model does not need"


def test_a_tree_without_end_is_not_walked_to_its_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(50):
        (folder / f"data{n}").touch()
    monkeypatch.setattr(submission, "MAX_ENTRIES", 10)
    assert len(walk(folder)) == 12


def test_a_package_is_a_model(make: Make, tmp_path: Path) -> None:
    package = tmp_path / "models" / "a" / "main"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from .model import Model\n")
    (package / "model.py").write_text(GOOD)
    assert one(make(), n=1)["a"].output == {"value": 61}
    (package.parent / "main.py").write_text(GOOD)
    assert faults(package.parent) == ["it has both main.py and a package main; keep one of them"]


def test_a_link_in_place_of_a_models_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "main.py").write_text(GOOD)
    (folder.parent / "b").symlink_to(tmp_path / "elsewhere")
    found, said = discover(folder.parent)
    assert list(found) == ["a"]
    assert said == [f"{folder.parent}/b: is not a folder, or a symbolic link to one; put the folder itself there"]


def test_a_name_of_bytes_can_be_told(folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder.parent) + b"/\xff")).mkdir()
    said = discover(folder.parent)[1]
    assert len(said) == 2 and all("\\udcff: " in fault for fault in said)
    "\n".join(said).encode()


@pytest.mark.parametrize("name", ["main.py", "sub/weights.bin", "__pycache__/main.pyc", ".hidden"])
def test_every_file_is_in_the_deployment(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    seen = [read(folder).deployment]
    for content in ("1", "2"):
        (folder / name).write_text(content)
        seen.append(read(folder).deployment)
    assert len(set(seen)) == 3
    (folder / name).touch()
    (folder / name).chmod(0o600)
    assert read(folder).deployment == seen[-1], "times and rights are no content"


TEXTS = st.text(max_size=120) | st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=100)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), TEXTS, max_size=4))
@example({"name": "a\u202eb"})
@example({"name": "x" * 101})
@example({"name": ""})
@example({"deployment": "a\nb"})
def test_what_is_taken_can_stand_in_any_table(options: dict[str, str]) -> None:
    def fit(value: str) -> bool:
        return 0 < len(value) <= 100 and value.isprintable() and value.strip() == value

    bad = {name for name, value in options.items() if not fit(value)}
    try:
        assert checked_about(dict(options)) == options and not bad
    except UserErrors as told:
        assert {fault.split()[1] for fault in told.faults} == bad
        assert all(fault.isprintable() for fault in told.faults)


@settings(max_examples=300)
@given(st.text() | st.from_regex(SLUG))
@example("a\n")
@example("../a")
@example("a" * 64)
@example("é")
def test_an_id_is_a_slug(text: str) -> None:
    safe = set(text) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-") and 0 < len(text) <= 63 and text[0] not in "_-"
    assert bool(SLUG.fullmatch(text)) == safe
