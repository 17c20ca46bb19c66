"""The parts of docker/compose.yaml serve as its health checks say."""

from collections.abc import Iterator

import pytest

from tests.cli.serving import of_home, until
from tests.production.deployment import PASSWORD, Deployment
from tests.production.layout import PARTS

SETTINGS = {
    "COMPETITION": "deployed",
    "MODE": "live",
    "COMPETITION_START": "2026-01-05T00:00Z",
    "FEED_PROVIDER": "simulated",
    "MODELS_DIR": "examples/models",
    "SENSORS": "false",  # nothing is run: that is what `make production` is for
}


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    home = tmp_path_factory.mktemp("deployed")
    (home / "examples" / "models").mkdir(parents=True)
    deployed = Deployment(home, SETTINGS)
    try:
        yield deployed
    finally:
        deployed.end()
        print(deployed.logs())


def test_all_parts_start_beside_an_empty_database(deployment: Deployment) -> None:
    """At once: whoever comes too early waits, and Dagster's tables are made by one of them."""
    assert not deployment.layout.is_healthy("webserver"), "the check passes whatever happens"
    print(f"healthy after {deployment.wait_until_healthy():.1f} s")
    log = (deployment.home / "code-blue.log").read_text()
    assert "Traceback" not in log, log
    assert PASSWORD not in deployment.logs() + (deployment.home / "supervisord.conf").read_text()
    assert [one.cmdline() for one in of_home(deployment.home) if PASSWORD in " ".join(one.cmdline())] == []


@pytest.mark.production
def test_all_are_healthy_again_after_all_were_killed(deployment: Deployment) -> None:
    before = [deployment.pid(part) for part in PARTS]
    for part in PARTS:
        deployment.process(part).kill()
    until(lambda: all(deployment.pid(part) not in (0, old) for part, old in zip(PARTS, before, strict=True)), 30)
    print(f"all killed, healthy after {deployment.wait_until_healthy():.1f} s")
