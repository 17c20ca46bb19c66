"""One model of the participant's, in this process: started as a window begins, then asked instant after instant."""

import inspect
import time
import traceback
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from coordinator_dagster.backtest.home import Home
from coordinator_dagster.runners.answers import Broken, clean, parse
from coordinator_dagster.runners.base import Answer, ModelInfo
from coordinator_dagster.runners.confined.answering import answers, model_class, words
from coordinator_dagster.runners.confined.frames import loads

SHOWN = 3  # different errors of a model that are printed in full


class OwnModel:
    """A class, or the folder of a submission that holds one, with its instance while it has one."""

    def __init__(self, info: ModelInfo, source: type | Path, base: type) -> None:
        self.info = info
        self._base, self._takes = base, set(inspect.signature(base.predict).parameters)  # type: ignore[attr-defined]
        self._kind = source if isinstance(source, type) else None
        self._home = None if isinstance(source, type) else Home(source, base.__module__.partition(".")[0])
        self._folder = str(_folder_of(source) if isinstance(source, type) else source)
        self._instance: Any = None
        self._why = ""
        self._shown: set[str] = set()

    def start(self) -> None:
        """Make it anew: of a folder its modules too, as in a process of its own."""
        self._instance = None
        try:
            with self._here():
                kind = self._kind or model_class(self._loaded(), self._base, self._folder)
                self._instance = kind()
        except BaseException as fault:
            self._why = clean(self._tell(fault))

    def answer(self, frame: bytes, count: int, timeout: float) -> list[Answer]:
        """Its answers to an instant of `count` calls; one that took more than `timeout` seconds starts anew."""
        if self._instance is None:
            return [Answer("FAILED", 0.0, reason=f"could not start: {self._why}")] * count
        asked, began = loads(frame), time.monotonic()
        with self._here():
            reply = answers(asked, self._instance, self._takes, self._tell)
        elapsed = time.monotonic() - began
        if elapsed > timeout:
            return self._lost(Answer("TIMEOUT", elapsed, reason=f"no answer within {timeout:g} s"), count)
        try:
            return parse(reply.encode(), count, elapsed)
        except Broken as fault:
            return self._lost(Answer("FAILED", elapsed, reason=str(fault)), count)

    def _lost(self, answer: Answer, count: int) -> list[Answer]:
        """In the contest its process would have been ended."""
        self.start()
        return [answer] * count

    def _here(self) -> AbstractContextManager[None]:
        return self._home.here() if self._home else nullcontext()

    def _loaded(self) -> Any:
        assert self._home
        return self._home.load()

    def _tell(self, fault: BaseException) -> str:
        """What is stored of what it raised; Ctrl-C is meant for all of us."""
        if isinstance(fault, KeyboardInterrupt):
            raise fault
        said = words(fault, self._folder)
        if said not in self._shown and len(self._shown) < SHOWN:
            self._shown.add(said)
            traceback.print_exception(fault)
        return said


def _folder_of(kind: type) -> Path:
    """Where the class's code is, for people; of a notebook's cell, where that is kept."""
    code = getattr(getattr(kind, "predict", None), "__code__", None)
    return Path(code.co_filename).parent if code else Path()
