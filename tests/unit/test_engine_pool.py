"""A process's engines: which credential is followed for whom, and that a changed one is used without a restart."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from domain.engine import EngineConfig
from domain.errors import EngineRejected, EngineUnavailable, NotFound, Unavailable
from domain.fields import Owner
from engines.protocols import LanguageModelEngine, TranscriptionEngine
from infra import engine_pool
from infra.engine_pool import EnginePool
from infra.secrets import EngineCredentials
from infra.telemetry.engines import ObservedLanguageModel, ObservedTranscription
from services.guarded_engines import EngineGuard
from tests.support.samples import engine


class _Known(Exception):
    """Says which secret an engine was built with."""


def _build(config: EngineConfig, secret: SecretStr | None) -> Any:
    raise _Known(secret.get_secret_value() if secret else None)


class _Stored:
    def __init__(self) -> None:
        self.found: str | Exception = "stored-1"

    async def secret(self, engine_id: str, name: str) -> SecretStr:
        if isinstance(self.found, Exception):
            raise self.found
        return SecretStr(self.found)


@pytest.fixture
def stored() -> _Stored:
    return _Stored()


@pytest.fixture
def pool(stored: _Stored, tmp_path: Path) -> EnginePool:
    guard: Any = EngineGuard.__new__(EngineGuard)
    return EnginePool(EngineCredentials(frozenset({"ENGINE_KEY"}), tmp_path), stored, guard, _build, _build)


async def built_with(pool: EnginePool, **changes: Any) -> str | None:
    with pytest.raises(_Known) as known:
        await pool._open_language_model(engine(kind="gemini", **changes))
    found: str | None = known.value.args[0]
    return found


async def test_variables_and_files_are_for_the_operators_engines(
    pool: EnginePool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENGINE_KEY", "of-the-operator")
    assert await built_with(pool, credentials="env:ENGINE_KEY") == "of-the-operator"
    (tmp_path / "key").write_text("in-a-file")
    assert await built_with(pool, credentials=f"file:{tmp_path / 'key'}") == "in-a-file"
    for owner in (Owner.TENANT, Owner.PARTNER):
        for reference in ("env:ENGINE_KEY", f"file:{tmp_path / 'key'}"):
            with pytest.raises(EngineRejected):
                await pool._open_language_model(engine(kind="gemini", owner=owner, credentials=reference))
        assert await built_with(pool, owner=owner, credentials="db:mine") == "stored-1"


async def test_a_files_new_content_is_used_with_the_next_request(pool: EnginePool, tmp_path: Path) -> None:
    for content in ("first", "second"):
        (tmp_path / "key").write_text(content)
        assert await built_with(pool, credentials=f"file:{tmp_path / 'key'}") == content


async def test_a_stored_secret_is_read_again_after_a_while(
    pool: EnginePool, stored: _Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await built_with(pool, credentials="db:mine", id="a" * 8 + "-0000-4000-8000-" + "0" * 12) == "stored-1"
    stored.found = "stored-2"
    same = {"credentials": "db:mine", "id": "a" * 8 + "-0000-4000-8000-" + "0" * 12}
    assert await built_with(pool, **same) == "stored-1"
    monkeypatch.setattr(engine_pool, "SECRET_FRESH_SECONDS", 0.0)
    assert await built_with(pool, **same) == "stored-2"
    stored.found = Unavailable("the database is away")
    assert await built_with(pool, **same) == "stored-2", "what was read last is used on"
    stored.found = NotFound("gone")
    with pytest.raises(EngineRejected):
        await pool._open_language_model(engine(kind="gemini", **same))
    stored.found = Unavailable("the database is away")
    with pytest.raises(EngineUnavailable):
        await pool._open_language_model(engine(kind="gemini", **same))


def test_engines_inside_the_worker_are_given_as_they_are(stored: _Stored) -> None:
    def build(config: EngineConfig, secret: SecretStr | None) -> Any:
        return object()

    guard: Any = EngineGuard.__new__(EngineGuard)
    pool = EnginePool(EngineCredentials(frozenset()), stored, guard, build, build)
    assert isinstance(pool.language_model(engine()), ObservedLanguageModel)
    assert isinstance(pool.transcription(engine(kind="whisper")), ObservedTranscription)
    assert isinstance(pool.language_model(engine(kind="gemini")), LanguageModelEngine)
    assert isinstance(pool.language_model(engine(), [engine(kind="gemini")]), LanguageModelEngine)
    assert isinstance(pool.transcription(engine(kind="deepgram")), TranscriptionEngine)
