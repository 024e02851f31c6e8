"""Settings of every process, read from the environment: the embedded stack and a cluster set the same names.

`PARLEY_` is the prefix; names other tools know (`TEMPORAL_ADDRESS`, `MEILI_URL`) are read without it as well.
Secrets are given by reference (`env:NAME`, `file:/path`), except database URLs, which may be either.
"""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AliasChoices,
    BeforeValidator,
    Field,
    HttpUrl,
    SecretStr,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from domain.errors import ParleyError
from infra.secrets import EngineCredentials, SecretRef, SecretUnavailable, resolve, resolve_key

MIB = 1024 * 1024


class Profile(StrEnum):
    """Who provides the parts Parley stands on."""

    EMBEDDED = "embedded"  # this machine's supervisor
    CLUSTER = "cluster"  # somebody else; nothing is assumed


def _follow(value: Any) -> Any:
    """A URL given as `file:/path` (no authority, so it is no URL of ours) or `env:NAME` is read from there."""
    if isinstance(value, str) and value.startswith(("env:", "file:")):
        try:
            return resolve(SecretRef(value))
        except SecretUnavailable as error:
            raise ValueError(error.message) from None
    return value


def _split(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _empty_is_unset(value: Any) -> Any:
    return None if value == "" else value


def _web_address(value: Any) -> Any:
    if isinstance(value, str) and value:
        TypeAdapter(HttpUrl).validate_python(value)
        return value.rstrip("/")
    return value


DatabaseUrl = Annotated[SecretStr, BeforeValidator(_follow)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
WebUrl = Annotated[str, BeforeValidator(_web_address)]
Reference = Annotated[SecretRef, NoDecode]
OptionalPath = Annotated[Path | None, BeforeValidator(_empty_is_unset)]


def _either(name: str) -> AliasChoices:
    return AliasChoices(f"PARLEY_{name}", name)


def default_config_dir() -> Path:
    """`temporal-config/` of the checkout, else the copy inside the installed package."""
    infra = Path(__file__).parent
    checkout = infra.parent / "temporal-config"
    return checkout if checkout.is_dir() else infra / "temporal-config"


class Settings(BaseSettings):
    """What a process needs to know. Immutable; printing it shows no secret."""

    model_config = SettingsConfigDict(
        env_prefix="PARLEY_", frozen=True, extra="ignore", validate_by_name=True, validate_by_alias=True,
        hide_input_in_errors=True,
    )  # fmt: skip

    profile: Profile = Profile.CLUSTER
    home: Path = Path(".parley")
    """Folder of the embedded stack's state."""
    config_dir: Path = Field(default_factory=default_config_dir)
    """Folder of `dynamic-config.yaml`, `search-attributes.toml`, `workers.toml`, retry policies, schedules."""

    # -- Postgres: one URL per role, so that a process holds only what it may do
    database_url: DatabaseUrl = SecretStr("")
    """Role `parley_app`: row-level security with the tenant set per transaction."""
    platform_database_url: DatabaseUrl = SecretStr("")
    """Role `parley_platform`: ids and leases before a tenant is known."""
    migration_database_url: DatabaseUrl = SecretStr("")
    """Role `parley`, the owner of the tables: only the migration is given it."""
    database_pool_min: int = Field(1, ge=0, le=100)
    database_pool_max: int = Field(8, ge=1, le=200)
    platform_pool_max: int = Field(3, ge=1, le=50)
    database_timeout_seconds: float = Field(30.0, gt=0)

    # -- Temporal
    temporal_address: str = Field("127.0.0.1:7233", validation_alias=_either("TEMPORAL_ADDRESS"))
    temporal_namespace: str = Field("default", validation_alias=_either("TEMPORAL_NAMESPACE"))
    temporal_tls: bool = Field(False, validation_alias=_either("TEMPORAL_TLS"))
    temporal_api_key: Reference = SecretRef()
    temporal_tls_client_cert: OptionalPath = None
    temporal_tls_client_key: Reference = SecretRef()
    temporal_tls_server_ca: OptionalPath = None
    temporal_ui_url: WebUrl = ""
    """Base address of the Temporal Web UI, for links in answers to operators; empty: no links."""
    worker_deployment: str = ""
    """Name of the worker deployment; with `worker_build_id`, conversations stay on the build they began with."""
    worker_build_id: str = ""

    # -- content store, search
    content_url: str = ""
    """`file:///folder`, `s3://bucket/prefix`, `gs://…` or `az://…`."""
    meili_url: WebUrl = Field("", validation_alias=_either("MEILI_URL"))
    """Empty: Postgres full text."""
    meili_key: Reference = SecretRef("env:MEILI_MASTER_KEY")
    search_index: str = Field("parley", pattern=r"^[a-z0-9_-]{1,64}$")

    # -- keys, 32 bytes as base64
    master_key: Reference = SecretRef()
    """Wraps the tenants' content keys."""
    codec_key: Reference = SecretRef()
    """Encrypts payloads on their way through Temporal."""
    codec_old_keys: Names = ()
    """References to keys that were `codec_key` before: still needed to read older histories."""

    # -- API
    api_host: str = "127.0.0.1"
    api_port: int = Field(8420, ge=0, le=65535)
    public_url: WebUrl = "http://127.0.0.1:8420"
    """How callers reach the API: base of every link in answers."""
    max_body_bytes: int = Field(32 * MIB, gt=0)
    max_upload_bytes: int = Field(512 * MIB, gt=0)
    max_import_bytes: int = Field(1024 * MIB, gt=0)
    paced_open_runs: int = Field(40, ge=1, le=10_000)
    """Runs of imported conversations that a tenant may have open at the same time."""
    max_audio_minutes: float = Field(240.0, gt=0)
    audio_url_hosts: Names = ()
    """Hosts audio may be pulled from; empty: none."""
    trusted_proxies: Names = ()
    """Addresses of proxies whose word on a caller's address and scheme is taken (`X-Forwarded-…`); empty: nobody's."""
    session_idle_minutes: float = Field(120.0, gt=0)
    """Unused so long, a person is signed out."""
    session_hours: float = Field(12.0, gt=0)
    """After so long a person signs in anew."""

    # -- engines
    deepgram_api_key: Reference = SecretRef("env:DEEPGRAM_API_KEY")
    gemini_api_key: Reference = SecretRef("env:GEMINI_API_KEY")
    engine_secret_names: Names = (
        "DEEPGRAM_API_KEY",
        "GEMINI_API_KEY",
        "GOOGLE_API_KEY",
        "OPENAI_API_KEY",
        "ANTHROPIC_API_KEY",
    )
    """Variables an engine configuration may refer to."""
    engine_secret_dir: OptionalPath = None
    """Folder of files an engine configuration may refer to."""
    engine_hosts: Names = ()
    """Hosts that engines of partners and tenants may be at, besides their providers' own addresses; empty: none."""

    # -- how the calls of one conversation are cut (docs/tasks.md); an engine's parameters of the same names go first
    fuse_up_to_tokens: int = Field(3_000, ge=0)
    """Transcripts up to this long are asked in fused calls; 0: never."""
    cache_from_tokens: int = Field(1_024, ge=0)
    """Shortest prefix a provider caches."""
    output_tokens: int = Field(8_192, ge=16)
    """What one answer may hold at most, all tasks of a fused call together."""
    schema_fields: int = Field(24, ge=1)
    """Fields in one schema at most."""
    context_tokens: int = Field(1_000_000, ge=1_000)
    """What a language model reads at most; longer conversations are windowed or skipped, as each task says."""
    max_windows: int = Field(24, ge=2)
    """A conversation that needs more windows is too long."""

    # -- process
    log_format: Literal["console", "json"] = "json"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    metrics_port: int = Field(0, ge=0, le=65535)
    """Prometheus metrics of this process on 127.0.0.1; 0: none."""
    metrics_host: str = "127.0.0.1"
    trace_sql: bool = False
    """A span for every SQL statement, when traces are on (`OTEL_EXPORTER_OTLP_ENDPOINT`). Many, so not unasked."""
    ready_file: OptionalPath = None
    """A worker creates this file once it polls its queues, for whoever watches it."""

    @property
    def engine_credentials(self) -> EngineCredentials:
        """The only way from an engine configuration's reference to a credential."""
        return EngineCredentials(frozenset(self.engine_secret_names), self.engine_secret_dir)

    @model_validator(mode="before")
    @classmethod
    def _google_name(cls, values: Any) -> Any:
        given = os.environ.get
        named = not isinstance(values, dict) or "gemini_api_key" in values
        if named or given("GEMINI_API_KEY") or not given("GOOGLE_API_KEY"):
            return values
        return {**values, "gemini_api_key": "env:GOOGLE_API_KEY"}

    @model_validator(mode="after")
    def _pools(self) -> Self:
        if self.database_pool_min > self.database_pool_max:
            raise ValueError("PARLEY_DATABASE_POOL_MIN is larger than PARLEY_DATABASE_POOL_MAX")
        return self

    @model_validator(mode="after")
    def _no_default_secrets(self) -> Self:
        """Outside the embedded stack nothing is assumed: a missing secret stops the process at its start."""
        if self.profile is Profile.EMBEDDED:
            return self
        missing = [
            f"PARLEY_{name.upper()}"
            for name in ("database_url", "platform_database_url", "master_key", "codec_key", "content_url")
            if not getattr(self, name)
        ]
        if missing:
            raise ValueError(f"not set: {', '.join(missing)}")
        for name in ("master_key", "codec_key"):
            try:
                resolve_key(getattr(self, name))
            except SecretUnavailable as error:
                raise ValueError(f"PARLEY_{name.upper()}: {error.message}") from None
        if self.master_key == self.codec_key:
            raise ValueError("PARLEY_MASTER_KEY and PARLEY_CODEC_KEY must be two keys")
        for name in ("database_url", "platform_database_url"):
            _refuse_weak_password(f"PARLEY_{name.upper()}", getattr(self, name))
        return self


def _refuse_weak_password(name: str, url: SecretStr) -> None:
    parts = urlsplit(url.get_secret_value())
    if parts.scheme not in ("postgresql", "postgres"):
        raise ValueError(f"{name} is not a postgresql:// URL")
    if parts.password in (parts.username, "postgres", "parley", "password", "changeme", "secret"):
        raise ValueError(f"{name} has a default password")


class ConfigurationError(ParleyError):
    """The environment does not make valid settings. Names each variable and why, never its value."""

    code = "configuration"
    title = "The configuration is not valid"


def load_settings() -> Settings:
    """Settings from the environment: the first thing a process does.

    Raises:
        ConfigurationError: something is missing, malformed or a default secret.
    """
    try:
        return Settings()
    except ValidationError as error:
        lines = [
            f"{_variable(problem['loc'])}{problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors(include_input=False, include_url=False, include_context=False)
        ]
        raise ConfigurationError("; ".join(lines)) from None


def _variable(location: tuple[int | str, ...]) -> str:
    name = str(location[0]).upper() if location else ""
    if not name:
        return ""
    return f"{name if name.startswith(('PARLEY_', 'TEMPORAL_', 'MEILI_')) else f'PARLEY_{name}'}: "
