"""Settings refuse what is unsafe, read the names other tools know, and never print a secret."""

import base64
import os
from pathlib import Path

import pytest

from infra.secrets import EngineCredentials, SecretRef, SecretUnavailable, new_key, resolve, resolve_key
from infra.settings import ConfigurationError, Profile, Settings, load_settings


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("PARLEY_", "TEMPORAL_", "MEILI_", "GEMINI_", "GOOGLE_", "DEEPGRAM_")):
            monkeypatch.delenv(name)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """The least a cluster process must be given."""
    for name in ("master", "codec"):
        (tmp_path / name).write_text(new_key())
        monkeypatch.setenv(f"PARLEY_{name.upper()}_KEY", f"file:{tmp_path / name}")
    monkeypatch.setenv("PARLEY_DATABASE_URL", "postgresql://parley_app:Xh2-long@db/parley")
    monkeypatch.setenv("PARLEY_PLATFORM_DATABASE_URL", "postgresql://parley_platform:Xh3-long@db/parley")
    monkeypatch.setenv("PARLEY_CONTENT_URL", "s3://bucket/parley")
    return monkeypatch


def test_a_complete_environment_is_accepted(cluster: pytest.MonkeyPatch) -> None:
    settings = load_settings()
    assert settings.profile is Profile.CLUSTER
    assert settings.database_url.get_secret_value().endswith("@db/parley")
    assert len(resolve_key(settings.master_key)) == 32
    assert settings.audio_url_hosts == ()


@pytest.mark.parametrize("name", ["DATABASE_URL", "PLATFORM_DATABASE_URL", "MASTER_KEY", "CODEC_KEY", "CONTENT_URL"])
def test_nothing_required_may_be_missing(cluster: pytest.MonkeyPatch, name: str) -> None:
    cluster.delenv(f"PARLEY_{name}")
    with pytest.raises(ConfigurationError, match=f"PARLEY_{name}"):
        load_settings()


def test_the_embedded_profile_asks_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_PROFILE", "embedded")
    assert load_settings().temporal_address == "127.0.0.1:7233"


@pytest.mark.parametrize("password", ["parley_app", "postgres", "changeme"])
def test_default_passwords_are_refused(cluster: pytest.MonkeyPatch, password: str) -> None:
    cluster.setenv("PARLEY_DATABASE_URL", f"postgresql://parley_app:{password}@db/parley")
    with pytest.raises(ConfigurationError, match="default password"):
        load_settings()


@pytest.mark.parametrize(
    "key", ["", "not base64!", base64.b64encode(bytes(32)).decode(), base64.b64encode(b"short").decode()]
)
def test_weak_keys_are_refused(cluster: pytest.MonkeyPatch, tmp_path: Path, key: str) -> None:
    (tmp_path / "master").write_text(key)
    with pytest.raises(ConfigurationError, match="PARLEY_MASTER_KEY") as caught:
        load_settings()
    assert not key or key not in str(caught.value)


def test_one_key_for_both_purposes_is_refused(cluster: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cluster.setenv("PARLEY_CODEC_KEY", f"file:{tmp_path / 'master'}")
    with pytest.raises(ConfigurationError, match="two keys"):
        load_settings()


def test_a_secret_in_place_of_a_reference_is_refused_and_not_repeated(cluster: pytest.MonkeyPatch) -> None:
    key = new_key()
    cluster.setenv("PARLEY_MASTER_KEY", key)
    with pytest.raises(ConfigurationError, match="never as its value") as caught:
        load_settings()
    assert key not in str(caught.value)


def test_a_database_url_may_be_a_reference(cluster: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://parley_app:from-file@db/parley\n")
    cluster.setenv("PARLEY_DATABASE_URL", f"file:{tmp_path / 'url'}")
    assert load_settings().database_url.get_secret_value() == "postgresql://parley_app:from-file@db/parley"


def test_printing_settings_shows_no_secret(cluster: pytest.MonkeyPatch) -> None:
    cluster.setenv("DEEPGRAM_API_KEY", "dg-secret")
    settings = load_settings()
    printed = f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    assert "Xh2-long" not in printed
    assert "dg-secret" not in printed
    assert resolve(settings.deepgram_api_key).get_secret_value() == "dg-secret"


def test_names_other_tools_know(cluster: pytest.MonkeyPatch) -> None:
    cluster.setenv("TEMPORAL_ADDRESS", "temporal:7233")
    cluster.setenv("MEILI_URL", "http://search:7700/")
    cluster.setenv("GOOGLE_API_KEY", "g-secret")
    cluster.setenv("PARLEY_AUDIO_URL_HOSTS", "media.example, cdn.example")
    settings = load_settings()
    assert settings.temporal_address == "temporal:7233"
    assert settings.meili_url == "http://search:7700"
    assert str(settings.gemini_api_key) == "env:GOOGLE_API_KEY"
    assert settings.audio_url_hosts == ("media.example", "cdn.example")


def test_the_parley_name_wins(cluster: pytest.MonkeyPatch) -> None:
    cluster.setenv("TEMPORAL_ADDRESS", "other:7233")
    cluster.setenv("PARLEY_TEMPORAL_ADDRESS", "ours:7233")
    assert load_settings().temporal_address == "ours:7233"


def test_settings_do_not_change() -> None:
    settings = Settings(profile=Profile.EMBEDDED)
    with pytest.raises(ValueError, match="frozen"):
        settings.api_port = 1  # type: ignore[misc]


def test_engines_reach_only_what_is_set_apart_for_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "engines"
    folder.mkdir()
    (folder / "deepgram").write_text("one")
    (tmp_path / "master.key").write_text("two")
    (folder / "link").symlink_to(tmp_path / "master.key")
    monkeypatch.setenv("DEEPGRAM_API_KEY", "three")
    monkeypatch.setenv("PARLEY_DATABASE_URL", "four")
    credentials = EngineCredentials(frozenset({"DEEPGRAM_API_KEY"}), folder)

    assert credentials.resolve(SecretRef(f"file:{folder}/deepgram")).get_secret_value() == "one"
    assert credentials.resolve(SecretRef("env:DEEPGRAM_API_KEY")).get_secret_value() == "three"
    for outside in (
        f"file:{tmp_path}/master.key",
        f"file:{folder}/../master.key",
        f"file:{folder}/link",
        "env:PARLEY_DATABASE_URL",
        "",
    ):
        with pytest.raises(SecretUnavailable):
            credentials.resolve(SecretRef(outside))


@pytest.mark.parametrize("text", ["vault:x", "env:", "file:relative/path", "plain"])
def test_malformed_references(text: str) -> None:
    with pytest.raises(ValueError, match=r"secret|reference"):
        SecretRef(text)
