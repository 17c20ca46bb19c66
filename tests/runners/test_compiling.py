"""A model's main.py is compiled once, by the process that forks, and only what it says now is run."""

import os
import textwrap
from pathlib import Path

from coordinator_dagster.runners.base import Call
from coordinator_dagster.runners.confined import compiling
from coordinator_dagster.runners.confined.layers import Place
from coordinator_dagster.runners.local import LocalRunner

MODEL = """
from slots.tracker import TrackerBase
class Model(TrackerBase):
    def tick(self, data): pass
    def predict(self, asset, horizon, step): return {"value": 1}
"""
SPACE = 1 << 40
PLACE = Place(sandboxed=False, root=False, readable=("/",))


def write(folder: Path, body: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "main.py").write_text(textwrap.dedent(body))
    return folder


def answer(runner: LocalRunner) -> object:
    runner.fresh()
    (one,) = runner.ask(b"{}", [Call(["BTC", 60, 60])], 10)["m"]
    assert one.status == "SUCCESS", one
    return one.output


def test_what_main_says_now_is_run_even_where_the_file_looks_the_same(tmp_path: Path) -> None:
    main = write(tmp_path / "m", MODEL) / "main.py"
    with LocalRunner(tmp_path) as runner:
        assert [answer(runner), answer(runner)] == [{"value": 1}] * 2
        looks = main.stat()
        main.write_text(main.read_text().replace("1}", "2}"))
        os.utime(main, ns=(looks.st_atime_ns, looks.st_mtime_ns))
        assert main.stat().st_mtime_ns == looks.st_mtime_ns
        assert answer(runner) == {"value": 2}


def test_a_main_that_takes_long_to_compile_is_left_to_the_model(tmp_path: Path) -> None:
    folder = write(tmp_path / "m", MODEL + "\nNUMBERS = [" + ", ".join(map(str, range(300_000))) + "]\n")
    assert compiling.Compiler(PLACE).code(str(folder), 0, SPACE) == b""
    with LocalRunner(tmp_path) as runner:
        assert answer(runner) == {"value": 1}


def test_it_is_compiled_once_as_long_as_it_is_the_same_file(tmp_path: Path) -> None:
    folder, compiler = write(tmp_path / "m", MODEL), compiling.Compiler(PLACE)
    code = compiler.code(str(folder), 0, SPACE)
    assert code and compiler.code(str(folder), 0, SPACE) is code
    write(folder, MODEL + "\n")
    assert compiler.code(str(folder), 0, SPACE) not in (b"", code)
    write(folder, "def")
    assert compiler.code(str(folder), 0, SPACE) == b""
    assert compiler.code(str(tmp_path / "nowhere"), 0, SPACE) == b""
