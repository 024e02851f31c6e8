"""The connection to Temporal, from settings: address, TLS, API key, payload keys, tracing."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from temporalio.client import Client, GrpcCompression, Plugin
from temporalio.runtime import Runtime
from temporalio.service import RPCError, TLSConfig

from domain.errors import Unavailable
from infra.secrets import SecretRef, resolve, resolve_key
from infra.settings import Settings
from infra.temporal.codec import KeyRing
from infra.temporal.plugin import parley_plugin

if TYPE_CHECKING:
    from infra.telemetry.tracing import Tracing

CONNECT_TIMEOUT = timedelta(seconds=5)

_LOCAL = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True)
class Connection:
    """Where Temporal is and how payloads are sealed. Printing it shows no secret."""

    address: str
    namespace: str
    keys: KeyRing
    tls: TLSConfig | None = None
    api_key: str | None = field(default=None, repr=False)
    tracing: "Tracing | None" = field(default=None, repr=False)
    identity: str | None = None

    @classmethod
    def from_settings(
        cls, settings: Settings, *, identity: str | None = None, tracing: "Tracing | None" = None
    ) -> "Connection":
        """Raises SecretUnavailable: a key is not configured or unreadable."""
        api_key = resolve(settings.temporal_api_key).get_secret_value() if settings.temporal_api_key else None
        return cls(
            address=settings.temporal_address,
            namespace=settings.temporal_namespace,
            keys=payload_keys(settings),
            tls=_tls(settings),
            api_key=api_key,
            tracing=tracing,
            identity=identity,
        )

    @property
    def local(self) -> bool:
        return self.address.rpartition(":")[0] in _LOCAL


def payload_keys(settings: Settings) -> KeyRing:
    """The key that seals, and those that were replaced. Raises SecretUnavailable."""
    older = tuple(resolve_key(SecretRef(reference)) for reference in settings.codec_old_keys)
    return KeyRing(resolve_key(settings.codec_key), older)


def _tls(settings: Settings) -> TLSConfig | None:
    certificate, key = settings.temporal_tls_client_cert, settings.temporal_tls_client_key
    if not (settings.temporal_tls or certificate or settings.temporal_tls_server_ca or settings.temporal_api_key):
        return None
    return TLSConfig(
        server_root_ca_cert=_read(settings.temporal_tls_server_ca),
        client_cert=_read(certificate),
        client_private_key=resolve(key).get_secret_value().encode() if key else None,
    )


def _read(path: Path | None) -> bytes | None:
    return None if path is None else path.read_bytes()


async def connect(connection: Connection, *, lazy: bool = False, runtime: Runtime | None = None) -> Client:
    """A client with the plugin. `lazy` connects with the first call: for processes that start while Temporal is
    away (they cannot host workers).

    Raises:
        Unavailable: not lazy, and Temporal does not answer in five seconds.
    """
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT.total_seconds() + 1):
            return await Client.connect(
                connection.address,
                namespace=connection.namespace,
                tls=connection.tls if connection.tls is not None else False,
                api_key=connection.api_key,
                plugins=_plugins(connection),
                identity=connection.identity,
                lazy=lazy,
                runtime=runtime,
                connect_timeout=CONNECT_TIMEOUT,
                # Beside a local server compression only costs CPU.
                grpc_compression=GrpcCompression.NONE if connection.local else GrpcCompression.GZIP,
            )
    except (RPCError, RuntimeError, TimeoutError) as error:
        raise Unavailable(f"Temporal at {connection.address} does not answer: {type(error).__name__}") from error


def _plugins(connection: Connection) -> list[Plugin]:
    ours: Plugin = parley_plugin(connection.keys, tracing=connection.tracing)
    if connection.tracing is None:
        return [ours]
    from temporalio.contrib.opentelemetry import OpenTelemetryPlugin

    return [OpenTelemetryPlugin(), ours]  # first: what is ours then runs inside the trace that came along
