"""`/models`: the models as the web app's Models page reads them."""

from pathlib import Path

from coordinator_dagster.levers.carry_out import carry_out
from coordinator_dagster.levers.request import Request
from coordinator_dagster.runtime import open_runtime
from slots.market import utc
from tests.report.conftest import Make
from tests.report.serving import asked
from tests.report.two_players import bearer, play

END = "2026-01-05T02:00Z"


def test_the_models_are_listed_with_their_states_and_why_they_do_not_run(competition: Make, tmp_path: Path) -> None:
    world = play(competition, tmp_path / "models")
    with open_runtime(world.competition) as runtime:
        carry_out(runtime, Request("disqualify", "copied", "the operator", at=utc(END), model="ada-answers"))
    with asked(world.competition) as client:
        public = {one["id"]: one for one in client.get("/models").json()}
        own = {one["id"]: one for one in client.get("/models", headers=bearer(world.keys["bob"])).json()}
        every = {one["id"]: one for one in client.get("/models", headers=bearer(world.keys["operator"])).json()}
    assert list(public) == ["ada-answers", "ada-breaks", "bob-answers", "bob-breaks"]
    fields = ("desired_state", "status", "statusMessage")
    assert {id_: tuple(one[name] for name in fields) for id_, one in public.items()} == {
        "ada-answers": ("STOPPED", "RUNNER_STOPPED", "copied"),
        "ada-breaks": ("RUNNING", "RUNNER_FAILED", "suspended until 2026-01-05T02:00:00+00:00"),
        "bob-answers": ("RUNNING", "RUNNER_RUNNING", None),
        "bob-breaks": ("RUNNING", "RUNNER_FAILED", "suspended until 2026-01-05T02:00:00+00:00"),
    }
    one = public["bob-answers"]
    assert (one["cruncher_id"], one["cruncher_name"], one["model_name"]) == ("bob", "Bob", "bob-answers")
    assert one["crunch_id"] == world.competition.settings.competition
    assert len(one["deployment_id"]) == 12
    assert {(each["builder_log_uri"], each["runner_log_uri"]) for each in public.values()} == {(None, None)}

    assert own["bob-breaks"]["statusMessage"].endswith(
        "10 instants in a row failed, the last: ValueError: bob-raised (main.py:8)"
    )
    assert own["ada-breaks"] == public["ada-breaks"]
    assert [one["runner_log_uri"] for one in own.values()] == [
        *(None, None),
        *("/private/models/bob-answers/log", "/private/models/bob-breaks/log"),
    ]
    assert every["ada-breaks"]["runner_log_uri"] == "/private/models/ada-breaks/log"
    assert "ada-raised" in every["ada-breaks"]["statusMessage"]
