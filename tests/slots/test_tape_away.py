"""A slot whose tape cannot be read has not failed: whoever runs it waits for the database, as for any other read."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from coordinator_dagster.store.database import Database, DatabaseAway
from coordinator_dagster.store.tape import TapeTable
from slots.loader import SlotFailure, SlotPath, load_slots
from slots.market import Series
from slots.tape import Tape

NOW = datetime(2026, 1, 5, tzinfo=UTC)
SERIES = Series("simulated", "BTC", "candle", "1m")
RESOLVER = """
def resolve(prediction, tape):
    if prediction == "wrong":
        raise ValueError("no")
    return tape.last("BTC")
"""


def test_a_slot_that_finds_the_database_away_is_not_at_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "away_slot.py").write_text(RESOLVER)
    monkeypatch.syspath_prepend(tmp_path)
    name = "GROUND_TRUTH_RESOLVER"
    slot = load_slots({name: SlotPath(name, "away_slot:resolve", "test")}, [name], tmp_path)[name]
    nowhere = Database("postgresql://nobody@127.0.0.1:1/none", "none")
    tape = Tape(TapeTable(nowhere), NOW, (SERIES,))
    with pytest.raises(DatabaseAway):
        slot(prediction="right", tape=tape)
    with pytest.raises(SlotFailure):
        slot(prediction="wrong", tape=tape)
