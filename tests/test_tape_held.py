"""The tape while it is being written: who reads it, and who holds it."""

from collections.abc import Callable
from typing import Any

import pytest

from coordinator_dagster.competition import Competition
from coordinator_dagster.runtime import open_runtime
from coordinator_dagster.store.database import DatabaseAway

Make = Callable[..., Competition]


def test_who_holds_it_and_is_frozen_is_thrown_out(competition: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coordinator_dagster.store.tape.FROZEN_SECONDS", 1)
    with open_runtime(competition()) as runtime:
        held = runtime.store.tape.held
        with pytest.raises(DatabaseAway), held(), held():
            pass  # the second waits, by a connection of its own, while the first says nothing
        with held():
            pass


def test_ticks_that_come_while_truths_are_found_are_for_the_next_time(competition: Make) -> None:
    made = competition(pack="realtime", competition_end="2026-01-05T02:00Z")
    first, second = made.windows.between(made.start, made.settings.competition_end)
    with open_runtime(made) as runtime:
        for step in (runtime.ingest, runtime.build_inputs, runtime.predict):
            step([first])
        real = runtime.store.tape.cached

        def cached(*arguments: Any) -> Any:
            source = real(*arguments)
            runtime.ingest([second])
            return source

        runtime.store.tape.cached = cached  # type: ignore[method-assign]
        assert runtime.resolve([first, second], recover=False).pending > 0
        found = "select count(*) as n from ground_truths where resolvable_at > :end"
        assert runtime.store.database.read(found, end=first.end)[0].n == 0
        runtime.store.tape.cached = real  # type: ignore[method-assign]
        assert runtime.resolve([first, second]).pending == 0
        assert runtime.store.database.read(found, end=first.end)[0].n > 0
