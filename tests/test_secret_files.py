"""Settings from files, as containers get their secrets."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import make_url

from coordinator_dagster.errors import UserError, UserErrors
from coordinator_dagster.settings import read_settings, source_of

Write = Callable[..., Path]


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a file each into SECRETS_DIR; returns that folder."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    monkeypatch.setenv("SECRETS_DIR", str(folder))

    def write(**texts: str) -> Path:
        for name, text in texts.items():
            (folder / name).write_text(text)
        return folder

    return write


def test_a_file_goes_before_local_env_and_after_the_environment(
    secrets: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = secrets(feed_api_key="of the file\n", something_else="no setting")
    (tmp_path / ".local.env").write_text("FEED_API_KEY=of the folder\n")
    found = read_settings(tmp_path).feed_api_key
    assert found and found.get_secret_value() == "of the file"
    assert source_of("feed_api_key", tmp_path) == str(folder / "feed_api_key")
    monkeypatch.setenv("FEED_API_KEY", "of the environment")
    found = read_settings(tmp_path).feed_api_key
    assert found and found.get_secret_value() == "of the environment"
    assert source_of("feed_api_key", tmp_path) == "environment"


def test_an_empty_file_says_nothing(secrets: Write, tmp_path: Path) -> None:
    secrets(failure_webhook_url="\n", PACK="tournament")
    settings = read_settings(tmp_path)
    assert settings.failure_webhook_url is None
    assert settings.pack == "tournament", "capitals, too"
    assert source_of("failure_webhook_url", tmp_path) == "default"


def test_the_database_s_password_goes_into_its_url(
    secrets: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    password = "p@ss:w%rd/ü"
    secrets(database_password=password)
    monkeypatch.setenv("DATABASE_URL", "postgresql://coordinator@database:5432/coordinator")
    settings = read_settings(tmp_path)
    assert settings.database_url
    assert make_url(settings.database_url.get_secret_value()).password == password
    assert password not in repr(settings)
    whole = "postgresql://coordinator:own@database:5432/coordinator"
    monkeypatch.setenv("DATABASE_URL", whole)
    settings = read_settings(tmp_path)
    assert settings.database_url and settings.database_url.get_secret_value() == whole


def test_a_fault_names_the_file(secrets: Write, tmp_path: Path) -> None:
    folder = secrets(feed_seed="many")
    with pytest.raises(UserErrors, match=f"{folder}/feed_seed: FEED_SEED = 'many'"):
        read_settings(tmp_path)


def test_what_cannot_be_read_is_one_clear_error(
    secrets: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = secrets()
    (folder / "feed_api_key").write_bytes(b"\xff")
    with pytest.raises(UserError, match=f"SECRETS_DIR={folder}: .*; let it hold text files, each named as a setting"):
        read_settings(tmp_path)
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"SECRETS_DIR=.*/nowhere: .*No such file"):
        read_settings(tmp_path)
