"""docs/slots.md is what the contracts say, and `coordinator slots` shows it."""

from collections.abc import Callable

import pytest
from typer.testing import CliRunner

from coordinator_dagster.cli import app
from coordinator_dagster.errors import UserError
from coordinator_dagster.slots_reference import ASSETS, markdown
from slots.contracts import SLOT_NAMES
from tests.conftest import PROJECT


def typed(*words: str) -> str:
    done = CliRunner().invoke(app, ["slots", *words])
    assert done.exit_code == 0, done.exception
    return done.output


def test_the_page_is_up_to_date() -> None:
    page = (PROJECT / "docs" / "slots.md").read_text()
    assert page == markdown(), "run `coordinator slots --markdown > docs/slots.md`"
    assert page == typed("--markdown")
    assert tuple(ASSETS) == SLOT_NAMES


def test_each_slot_is_named_with_its_function_and_who_said_so(
    competition: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    competition(scoring_function="slots.defaults:score_prediction")
    monkeypatch.setenv("COLUMNS", "120")
    shown = "".join(typed().split())
    assert all(name in shown for name in SLOT_NAMES)
    assert "slots.defaults:score_predictionenvironment" in shown


def test_a_contract_is_shown_by_its_name_and_a_wrong_name_is_told_the_nearest() -> None:
    assert typed("ground_truth_resolver").startswith(
        "def resolve_ground_truth(prediction: CyclePrediction, tape: Tape)"
    )
    error = CliRunner().invoke(app, ["slots", "SCORING"]).exception
    assert isinstance(error, UserError) and "did you mean SCORING_FUNCTION" in str(error)
