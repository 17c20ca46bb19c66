"""The instance files of the scaled-out forms: Dagster and the launchers' own packages accept every key in them."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster import DagsterInstance, DagsterInvalidConfigError
from dagster_k8s.models import k8s_model_from_dict, k8s_snake_case_dict
from docker.models.containers import _create_container_args  # what refuses a container's unknown options
from kubernetes.client import V1Container, V1JobSpec, V1PodSpec

from tests.conftest import PROJECT

ONE_MACHINE = PROJECT / "dagster.yaml"
FOLDER = PROJECT / "docker"
LAUNCHERS = {
    "celery/dagster.yaml": "WatchfulCeleryLauncher",
    "run-launchers/docker.yaml": "DockerRunLauncher",
    "run-launchers/kubernetes.yaml": "K8sRunLauncher",
}
# The parts of a Job, and what Dagster adds that they cannot be without.
KUBERNETES: dict[str, tuple[Any, dict[str, Any]]] = {
    "container_config": (V1Container, {"name": "dagster"}),
    "pod_spec_config": (V1PodSpec, {"containers": []}),
    "job_spec_config": (V1JobSpec, {"template": {}}),
}
GIVEN = {
    "CELERY_BROKER_URL": "redis://127.0.0.1:6379/11",
    "COORDINATOR_IMAGE": "coordinator:1",
    "COORDINATOR_NETWORK": "coordinator",
    "COORDINATOR_NAMESPACE": "coordinator",
}


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """No cluster is asked where its certificates are."""
    for name, value in GIVEN.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("kubernetes.config.load_incluster_config", lambda: None)


def merged(name: str) -> dict[str, Any]:
    """The file as the operator uses it: the parts it has instead of those for one machine."""
    return {**yaml.safe_load(ONE_MACHINE.read_text()), **yaml.safe_load((FOLDER / name).read_text())}


def launcher(content: dict[str, Any], folder: Path) -> Any:
    (folder / "dagster.yaml").write_text(yaml.safe_dump(content))
    with DagsterInstance.from_config(str(folder)) as instance:
        return instance.run_launcher


@pytest.mark.parametrize("name", LAUNCHERS)
def test_every_key_is_accepted(name: str, tmp_path: Path) -> None:
    found = launcher(merged(name), tmp_path)
    assert type(found).__name__ == LAUNCHERS[name]


def test_docker_knows_every_option_of_the_container(tmp_path: Path) -> None:
    found = launcher(merged("run-launchers/docker.yaml"), tmp_path)
    given = {"image": found.image, "version": "1.43"}
    assert _create_container_args({**found.container_kwargs, **given})["host_config"]["SecurityOpt"]
    with pytest.raises(TypeError, match="nobody_knows_this"):
        _create_container_args({**found.container_kwargs, **given, "nobody_knows_this": 1})


def test_kubernetes_knows_every_field(tmp_path: Path) -> None:
    config = launcher(merged("run-launchers/kubernetes.yaml"), tmp_path).inst_data.config_dict["run_k8s_config"]
    assert config.keys() == KUBERNETES.keys()
    for section, (model, needed) in KUBERNETES.items():
        assert k8s_model_from_dict(model, {**config[section], **needed})
        with pytest.raises(Exception, match="nobody_knows_this"):
            k8s_model_from_dict(model, {**config[section], **needed, "nobody_knows_this": 1})


@pytest.mark.parametrize("name", LAUNCHERS)
def test_a_key_that_nobody_knows_is_refused(name: str, tmp_path: Path) -> None:
    for part in ("run_launcher", "run_monitoring", "concurrency"):
        wrong = copy.deepcopy(merged(name))
        (wrong[part]["config"] if part == "run_launcher" else wrong[part])["nobody_knows_this"] = 1
        with pytest.raises(DagsterInvalidConfigError, match="nobody_knows_this"):
            launcher(wrong, tmp_path)


def test_only_what_is_about_celery_differs_from_one_machine() -> None:
    celery, one_machine = (yaml.safe_load(path.read_text()) for path in (FOLDER / "celery/dagster.yaml", ONE_MACHINE))
    differing = {name for name in celery | one_machine if celery.get(name) != one_machine.get(name)}
    assert differing == {"run_launcher", "run_monitoring", "concurrency"}


def test_the_charts_values_give_the_same_jobs() -> None:
    """The chart hands `runK8sConfig` on to the launcher, which takes Kubernetes' own names as well."""
    chart = yaml.safe_load((FOLDER / "run-launchers/helm-values.yaml").read_text())
    given = chart["runLauncher"]["config"]["k8sRunLauncher"]["runK8sConfig"]
    ours = merged("run-launchers/kubernetes.yaml")["run_launcher"]["config"]["run_k8s_config"]
    models = {"containerConfig": V1Container, "podSpecConfig": V1PodSpec, "jobSpecConfig": V1JobSpec}
    assert [k8s_snake_case_dict(models[name], part) for name, part in given.items()] == list(ours.values())
    pools = merged("run-launchers/kubernetes.yaml")["concurrency"]["pools"]
    assert chart["additionalInstanceConfig"]["concurrency"]["pools"] == pools
