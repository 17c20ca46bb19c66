"""Which runner MODEL_RUNNER names, made from the settings; the client of the orchestrator is loaded only for it."""

import importlib
import importlib.util
import re
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

from coordinator_dagster.competition import Competition
from coordinator_dagster.errors import UserError, UserErrors
from coordinator_dagster.runners.base import ModelInfo, Runner
from coordinator_dagster.runners.layers import LAYERS
from coordinator_dagster.runners.local import LocalRunner
from coordinator_dagster.settings import Settings

SECURE_FILES = ("ca.crt", "tls.crt", "tls.key")
CLIENT = "model_runner_client"


def open_runner(competition: Competition, known: Callable[[], Iterable[ModelInfo]]) -> Runner:
    """The runner that MODEL_RUNNER names; UserErrors with all that it lacks. `known` took part before."""
    competition.find_public_modules()
    settings = competition.settings
    if settings.model_runner == "local":
        return open_local_runner(competition)
    if faults := runner_faults(settings):
        raise UserErrors(faults)
    from coordinator_dagster.runners.grpc_runner import GrpcRunner, Orchestrator

    assert settings.crunch_id
    orchestrator = Orchestrator(
        host=settings.model_runner_node_host,
        port=settings.model_runner_node_port,
        crunch_id=settings.crunch_id,
        base_classname=settings.model_base_classname,
        timeout=settings.model_runner_timeout_seconds,
        max_failures=settings.model_runner_client_max_failures,
        max_timeouts=settings.model_runner_client_max_timeouts,
        **credentials(settings),
    )
    return GrpcRunner(orchestrator, base_predict(settings), known(), must_connect=settings.mode == "replay")


def required_layers(settings: Settings) -> Collection[str]:
    """The layers without which no local model is started: live, all that are not waived."""
    return LAYERS.keys() - settings.model_layers_waived if settings.mode == "live" else ()


def open_local_runner(
    competition: Competition,
    models_dir: Path | None = None,
    logs: Path | None = None,
    required: Collection[str] | None = None,
) -> LocalRunner:
    """The runner of the models in `models_dir`, else MODELS_DIR; `required` are `required_layers`, as a rule.

    Live, too, one bad folder must not keep all the others from being asked.
    """
    competition.find_public_modules()
    settings, live = competition.settings, competition.settings.mode == "live"
    module, _, name = settings.model_base_classname.rpartition(".")
    return LocalRunner(
        models_dir or competition.home / settings.models_dir,
        f"{module}:{name}",
        logs or competition.model_logs,
        preload=settings.model_preload,
        memory=settings.model_memory_mb << 20,
        required=sorted(required_layers(settings) if required is None else required),
        tolerant=live and models_dir is None,
    )


def runner_faults(settings: Settings) -> list[str]:
    """What MODEL_RUNNER=grpc lacks, in words; nothing is connected to."""
    if settings.model_runner == "local":
        return []
    faults = []
    if importlib.util.find_spec(CLIENT) is None:
        faults.append(
            "MODEL_RUNNER=grpc: the package model-runner-client is not installed; "
            "run `.venv/bin/pip install -c constraints.txt -e '.[grpc]'`"
        )
    if not settings.crunch_id:
        faults.append("CRUNCH_ID is not set, and MODEL_RUNNER=grpc needs it; set the crunch's id, such as my-crunch")
    elif not re.fullmatch(r"[^\s/?#%]+", settings.crunch_id):
        faults.append(f"CRUNCH_ID={settings.crunch_id}: it is a part of a URL; give it without blanks and / ? # %")
    folder, key = settings.model_runner_secure_credentials_dir, settings.model_runner_gateway_key_file
    if folder and key:
        faults.append(
            f"MODEL_RUNNER_SECURE_CREDENTIALS_DIR={folder} and MODEL_RUNNER_GATEWAY_KEY_FILE={key}: "
            "nodes are reached in one of these ways; unset the other"
        )
    missing = [one for one in SECURE_FILES if folder and not (folder / one).is_file()]
    if missing:
        faults.append(
            f"MODEL_RUNNER_SECURE_CREDENTIALS_DIR={folder}: {', '.join(missing)} not found; "
            f"put {', '.join(SECURE_FILES)} there"
        )
    if key and not key.is_file():
        faults.append(f"MODEL_RUNNER_GATEWAY_KEY_FILE={key}: there is no such file; give the PEM file of an RSA key")
    try:
        base_predict(settings)
        if not faults:
            credentials(settings)
    except UserError as fault:
        faults.append(str(fault))
    return faults


def base_predict(settings: Settings) -> Callable[..., Any]:
    """`predict` of the base class: its signature says where keywords go."""
    module, _, name = settings.model_base_classname.rpartition(".")
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), name).predict
    except Exception as fault:
        raise UserError(
            f"MODEL_BASE_CLASSNAME={settings.model_base_classname} cannot be loaded: {type(fault).__name__}: {fault}; "
            "give module.Class of a class with `predict`, which is installed here as at the nodes"
        ) from None
    return found


def credentials(settings: Settings) -> dict[str, Any]:
    """The client's, by the name of its argument; UserError for files that are none. Nothing of them is shown."""
    if folder := settings.model_runner_secure_credentials_dir:
        from model_runner_client.security.credentials import SecureCredentials

        try:
            return {"secure_credentials": SecureCredentials.from_directory(folder)}
        except (OSError, ValueError) as fault:
            raise UserError(
                f"MODEL_RUNNER_SECURE_CREDENTIALS_DIR={folder}: {type(fault).__name__}: the files cannot be used; "
                "they are PEM, and tls.key belongs to tls.crt"
            ) from None
    if key := settings.model_runner_gateway_key_file:
        from model_runner_client.security.gateway_credentials import GatewayCredentials

        try:
            return {"gateway_credentials": GatewayCredentials.from_pem(key.read_bytes())}
        except (OSError, ValueError, TypeError) as fault:
            raise UserError(
                f"MODEL_RUNNER_GATEWAY_KEY_FILE={key}: {type(fault).__name__}: it cannot be used; "
                "give the PEM file of an RSA key without a password"
            ) from None
    return {}
