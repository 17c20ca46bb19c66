"""The files in docker/: whole, by the tools that read them, and as safe as docs/deploy.md says."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PROJECT
from tests.production.layout import BIN, composed

DOCKER = PROJECT / "docker"
OURS = {"code-blue", "code-green", "daemon", "webserver", "webserver-public", "report", "metrics"}
NOT_OURS = {"orchestrator", "web"}  # images from elsewhere, with needs of their own
BASIC_AUTH_SINCE = (2, 8)  # Caddy's; before, it was one word


@pytest.fixture(scope="module")
def services() -> Any:
    return composed(PROJECT, "--profile", "*")["services"]


def test_every_container_has_limits_and_no_power(services: Any) -> None:
    for name, service in services.items():
        assert service["restart"] == "unless-stopped", name
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}, name
        if name in NOT_OURS:
            continue
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service.get("cap_add", []) == (["NET_BIND_SERVICE"] if name == "proxy" else []), name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert int(service["mem_limit"]) > 0 and service["pids_limit"] > 0, name


def test_what_models_are_confined_in_is_open_for_their_namespaces_alone(services: Any) -> None:
    unconfined = {name for name, one in services.items() if "seccomp=unconfined" in one.get("security_opt", [])}
    assert unconfined == {"code-blue", "code-green"}
    assert not [name for name, one in services.items() if one.get("privileged")]


def test_only_the_proxy_is_reached_from_outside(services: Any) -> None:
    published = {
        name: [port.get("host_ip") for port in one.get("ports", [])]
        for name, one in services.items()
        if name != "proxy"
    }
    assert {name: hosts for name, hosts in published.items() if set(hosts) - {"127.0.0.1"}} == {}
    assert [name for name in published if name.startswith(("code", "database")) and published[name]] == []
    assert published["webserver-public"] == []
    assert "--read-only" in services["webserver-public"]["command"]


def test_what_is_from_elsewhere_or_reached_from_outside_reaches_no_code_server(services: Any) -> None:
    reached = {name: {*one.get("networks", {})} for name, one in services.items()}
    assert reached["code-blue"] == reached["code-green"] == reached["database"] == {"default"}
    behind = {
        name: {other for other in reached if other != name and reached[other] & reached[name]} for name in reached
    }
    assert behind["proxy"] == {"webserver", "webserver-public", "report"}
    assert behind["web"] == {"report"}


def test_each_of_ours_is_looked_at_and_holds_no_secret(services: Any) -> None:
    for name in OURS:
        assert services[name]["healthcheck"]["test"][0] == "CMD", name
        assert {one["source"] for one in services[name]["secrets"]} >= {"database_password"}, name
    for name, service in services.items():
        for variable, value in service.get("environment", {}).items():
            assert not value or not re.search("PASSWORD$|KEY$|WEBHOOK", variable), f"{name}: {variable}"


def test_what_is_asked_follows_the_code_server_in_use(
    services: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    followers = ("daemon", "webserver", "webserver-public")
    assert all("code-blue:4000" in services[name]["command"] for name in followers)
    monkeypatch.setenv("CODE", "green")
    others = composed(PROJECT, "--profile", "*")["services"]
    assert all("code-green:4000" in others[name]["command"] for name in followers)
    assert {name for name in services if services[name] != others[name]} == set(followers)


def test_the_image_runs_as_nobody_and_holds_nothing_of_the_folder_that_is_secret() -> None:
    lines = (DOCKER / "Dockerfile").read_text().splitlines()
    assert [line for line in lines if line.startswith("USER ")] == ["USER 10001"]
    ignored = (PROJECT / ".dockerignore").read_text().splitlines()
    assert {".local.env*", "docker/*", ".git", "**/*.dump"} <= set(ignored)


def test_the_dockerfile_is_well() -> None:
    linted("hadolint", DOCKER / "Dockerfile")


def test_the_scripts_are_well() -> None:
    linted("shellcheck", DOCKER / "deploy")


def linted(tool: str, file: Path) -> None:
    done = subprocess.run([BIN / tool, file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_proxy_understands_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    caddy = shutil.which("caddy")
    if not caddy:
        pytest.skip("caddy is not installed (`apt-get install caddy`): docker/Caddyfile is not tried")
    logins = tmp_path / "ui_logins"
    logins.write_text("ada $2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG\n")
    text = (DOCKER / "Caddyfile").read_text().replace("/run/secrets/ui_logins", str(logins))
    version = subprocess.run([caddy, "version"], capture_output=True, text=True, check=True).stdout
    found = re.match(r"v?(\d+)\.(\d+)", version)
    if found and tuple(map(int, found.groups())) < BASIC_AUTH_SINCE:
        text = text.replace("basic_auth", "basicauth")
    (tmp_path / "Caddyfile").write_text(text)
    for name in ("UI_SITE", "PUBLIC_UI_SITE", "REPORT_SITE"):
        monkeypatch.setenv(name, f"{name.lower().replace('_', '-')}.localhost")
    command = [caddy, "validate", "--adapter", "caddyfile", "--config", str(tmp_path / "Caddyfile")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
