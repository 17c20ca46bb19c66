"""Which runner MODEL_RUNNER names, and what is said where it cannot be had."""

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from coordinator_dagster.cli.validate import settings_faults
from coordinator_dagster.competition import Competition, read_competition
from coordinator_dagster.errors import UserErrors
from coordinator_dagster.runners import choice
from coordinator_dagster.runners.local import LocalRunner
from coordinator_dagster.runtime import Runtime

PROJECT = Path(__file__).parents[2]

Configure = Callable[..., Competition]


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Configure:
    """A competition that is read and not run."""

    def read(**settings: Any) -> Competition:
        models = PROJECT / "examples" / "models"
        for name, value in {"competition_start": "2026-01-05T00:00Z", "models_dir": models, **settings}.items():
            monkeypatch.setenv(name.upper(), str(value))
        return read_competition(tmp_path)

    return read


class Nobody:
    """A store without participants."""

    class cycles:
        @staticmethod
        def participants() -> list[Any]:
            return []


def runner_of(competition: Competition) -> Any:
    return Runtime(competition, Nobody()).runner  # type: ignore[arg-type]


def test_models_run_here_unless_told_otherwise(configured: Configure) -> None:
    competition = configured()
    assert settings_faults(competition) == []
    with runner_of(competition) as runner:
        assert isinstance(runner, LocalRunner)


def test_grpc_is_chosen_by_one_setting_and_connects_to_nothing(configured: Configure) -> None:
    pytest.importorskip("model_runner_client", reason="the extra `grpc` is not installed")
    competition = configured(model_runner="grpc", crunch_id="my-crunch", model_runner_node_port=1)
    assert settings_faults(competition) == []
    with runner_of(competition) as runner:
        assert type(runner).__name__ == "GrpcRunner" and runner.models() == []


def test_all_that_grpc_lacks_is_said_at_once(
    configured: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "ca.crt").write_text("x")
    monkeypatch.setattr(choice, "CLIENT", "no_such_package")
    competition = configured(
        model_runner="grpc",
        model_base_classname="slots.tracker.Nobody",
        model_runner_secure_credentials_dir="keys",
        model_runner_gateway_key_file="gateway.pem",
    )
    package, crunch, both, files, key, base = settings_faults(competition)
    assert package.startswith("MODEL_RUNNER=grpc: the package model-runner-client is not installed; run `")
    assert crunch.startswith("CRUNCH_ID is not set, and MODEL_RUNNER=grpc needs it; set ")
    assert "MODEL_RUNNER_SECURE_CREDENTIALS_DIR" in both and "MODEL_RUNNER_GATEWAY_KEY_FILE" in both
    assert files.startswith(f"MODEL_RUNNER_SECURE_CREDENTIALS_DIR={tmp_path / 'keys'}: tls.crt, tls.key not found; ")
    assert key.startswith(f"MODEL_RUNNER_GATEWAY_KEY_FILE={tmp_path / 'gateway.pem'}: there is no such file; ")
    assert base.startswith("MODEL_BASE_CLASSNAME=slots.tracker.Nobody cannot be loaded: AttributeError: ")
    with pytest.raises(UserErrors) as raised:
        runner_of(competition)
    assert len(raised.value.faults) == 6


@pytest.mark.parametrize("crunch", ["a b", "a/b", "a?b"])
def test_a_crunch_id_that_is_no_part_of_a_url_is_refused(configured: Configure, crunch: str) -> None:
    (fault,) = settings_faults(configured(model_runner="grpc", crunch_id=crunch))
    assert fault.startswith(f"CRUNCH_ID={crunch}: ")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("model_runner", "docker", "environment: MODEL_RUNNER = 'docker': Input should be 'local' or 'grpc'"),
        ("model_runner_node_port", 0, "environment: MODEL_RUNNER_NODE_PORT = '0': "),
        ("model_runner_node_port", 65536, "environment: MODEL_RUNNER_NODE_PORT = '65536': "),
        ("model_runner_client_max_failures", -1, "environment: MODEL_RUNNER_CLIENT_MAX_FAILURES = '-1': "),
        ("model_runner_client_max_timeouts", "x", "environment: MODEL_RUNNER_CLIENT_MAX_TIMEOUTS = 'x': "),
    ],
)
def test_a_bad_value_names_its_setting(configured: Configure, name: str, value: Any, words: str) -> None:
    with pytest.raises(UserErrors) as raised:
        configured(**{name: value})
    assert words in str(raised.value)


def pem(folder: Path, kind: str) -> Path:
    """A key of this kind with its own certificate, as the files that the client wants."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    key: Any = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    signed = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(1)).sign(
        key, hashes.SHA256()
    )
    unlocked, form = serialization.NoEncryption(), serialization.PrivateFormat.PKCS8
    (folder / "tls.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, unlocked))
    for file in ("ca.crt", "tls.crt"):
        (folder / file).write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    return folder / "tls.key"


def test_credentials_are_the_clients_own(configured: Configure, tmp_path: Path) -> None:
    pytest.importorskip("model_runner_client", reason="the extra `grpc` is not installed")
    key = pem(tmp_path, "rsa")
    chosen = {"model_runner": "grpc", "crunch_id": "a"}
    with runner_of(configured(**chosen, model_runner_secure_credentials_dir=tmp_path)) as runner:
        assert runner._orchestrator.secure_credentials.key_bytes == key.read_bytes()
        assert b"PRIVATE" not in repr(runner._orchestrator).encode(), "a secret would reach a log"
    with runner_of(
        configured(**chosen, model_runner_secure_credentials_dir="", model_runner_gateway_key_file=key)
    ) as one:
        assert one._orchestrator.gateway_credentials.private_key.key_size == 2048


@pytest.mark.parametrize("content", ["elliptic", "garbage"])
def test_a_key_that_cannot_be_used_is_named_and_not_shown(configured: Configure, tmp_path: Path, content: str) -> None:
    pytest.importorskip("model_runner_client", reason="the extra `grpc` is not installed")
    key = pem(tmp_path, "ec")
    if content == "garbage":
        key.write_text("SECRET")
    (fault,) = settings_faults(configured(model_runner="grpc", crunch_id="a", model_runner_gateway_key_file=key))
    assert fault.startswith(f"MODEL_RUNNER_GATEWAY_KEY_FILE={key}: ") and "RSA key" in fault and "SECRET" not in fault
    if content == "garbage":
        (fault,) = settings_faults(
            configured(model_runner_gateway_key_file="", model_runner_secure_credentials_dir=tmp_path)
        )
        assert "SECRET" not in fault and "tls.key belongs to tls.crt" in fault


def test_what_dagster_loads_does_not_load_the_client() -> None:
    code = (
        "import os, sys\nos.environ |= {'MODEL_RUNNER': 'grpc', 'CRUNCH_ID': 'a'}\n"
        "import coordinator_dagster.definitions\nassert 'model_runner_client' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
