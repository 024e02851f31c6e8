"""Engines' secrets: sealed with their owner's key, opened for the engine's next request, kept by nobody in between."""

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

from domain.errors import NotFound, Unavailable
from domain.fields import Owner
from storage.crypto import DataKeys, MasterKeys, seal, unseal
from storage.postgres.platform import PostgresPlatform
from storage.protocols import SealedSecret


class PostgresEngineSecrets:
    """See `storage.protocols.EngineSecrets`. A tenant's are sealed with its own key, so that they go with it."""

    def __init__(self, platform: PostgresPlatform, keys: DataKeys, master_keys: MasterKeys) -> None:
        self._platform = platform
        self._keys = keys
        self._master_keys = master_keys

    async def seal(self, level: Owner, owner_id: str, name: str, secret: SecretStr) -> SealedSecret:
        context, data = _context(owner_id, name), secret.get_secret_value().encode()
        if level is not Owner.TENANT:
            key_id, sealed = self._master_keys.seal(context, data)
            return SealedSecret(owner_id=owner_id, owner_level=level, name=name, master_key_id=key_id, sealed=sealed)
        key = await self._keys.current(owner_id)
        sealed = seal(AESGCM(key.secret), context, data)
        return SealedSecret(owner_id=owner_id, owner_level=level, name=name, key_version=key.version, sealed=sealed)

    async def secret(self, engine_id: str, name: str) -> SecretStr:
        row = await self._platform.engine_secret(engine_id, name)
        if row is None:
            raise NotFound("no such secret")
        context = _context(row.owner_id, name)
        if row.owner_level is not Owner.TENANT:
            return SecretStr(self._master_keys.open(row.master_key_id or "", context, row.sealed).decode())
        key = await self._keys.version(row.owner_id, row.key_version or 0)
        if key is None:
            raise Unavailable("the tenant's key that sealed it is gone")
        return SecretStr(unseal(AESGCM(key.secret), context, row.sealed).decode())


def _context(owner_id: str, name: str) -> str:
    return f"engine secret/{owner_id}/{name}"
