"""Engines as configuration: what a tenant, a partner or the operator sets up, gives credentials to, and tests."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from pydantic import SecretStr

from domain.engine import EngineChange, EngineConfig, NewEngine, Price
from domain.errors import Conflict, EngineError, EngineRejected, Forbidden, InvalidInput, NotFound, ParleyError, where
from domain.fields import Owner
from domain.ids import new_id
from services.authenticate import Principal
from services.engine_choice import why_not_allowed
from services.guarded_engines import IN_PROCESS
from services.prices import listed_price
from storage.protocols import Database, EngineGate, EngineSecrets, TenantTx

MAX_SECRET_CHARACTERS = 65_536
OPERATOR = "operator"

_log = logging.getLogger(__name__)


class EngineTester(Protocol):
    """The process's engines, for looking at one."""

    def check(self, config: EngineConfig) -> None:
        """Raises EngineRejected for an unknown kind or parameters that are not valid. Sends nothing."""
        ...

    async def test(self, config: EngineConfig) -> str:
        """Sends a real small request; what was seen. Raises EngineError."""
        ...


@dataclass(frozen=True)
class EngineTest:
    """What came of a test: `seen` in a few words, or the error."""

    engine: EngineConfig
    seconds: float
    seen: str | None = None
    error: ParleyError | None = None


@dataclass(frozen=True)
class By:
    """Who changes something, and from where."""

    actor: str
    origin: str | None


class ManageEngines:
    """Needs the database, the sealed secrets, the shared gate and the process's engines.

    `hosts`: where engines of partners and tenants may be, besides the providers' own addresses: whoever names an
    address has this platform call it.
    """

    def __init__(
        self,
        database: Database,
        secrets: EngineSecrets,
        gate: EngineGate,
        tester: EngineTester,
        *,
        hosts: Sequence[str] = (),
    ) -> None:
        self._database = database
        self._secrets = secrets
        self._gate = gate
        self._tester = tester
        self._hosts = frozenset(hosts)

    # -- a tenant's

    async def seen(self, tenant_id: str) -> Sequence[EngineConfig]:
        """What the tenant sees: its own and its ancestors', in the order of their names."""
        async with self._database.tenant_tx(tenant_id) as tx:
            return await tx.catalog.engines()

    async def create(self, tenant_id: str, new: NewEngine, by: By) -> EngineConfig:
        """Raises InvalidInput, Conflict (the name is taken, here or above: a tenant's engine hides nobody's)."""
        config = self._configured(new, Owner.TENANT)
        async with self._database.tenant_tx(tenant_id) as tx:
            if any(engine.name == new.name for engine in await tx.catalog.engines()):
                raise Conflict(f"there is an engine {new.name} already")
            await self._put(tx, config, None, by)
        return config

    async def change(self, tenant_id: str, name: str, change: EngineChange, by: By) -> EngineConfig:
        """Raises NotFound, Forbidden (it is of a level above), InvalidInput."""
        async with self._database.tenant_tx(tenant_id) as tx:
            before = await _own(tx, name)
            config = self._changed(before, change)
            await self._put(tx, config, before, by)
        return config

    async def set_credentials(self, tenant_id: str, name: str, secret: SecretStr, by: By) -> EngineConfig:
        """The secret is sealed and never read back. Raises NotFound, Forbidden, InvalidInput."""
        sealed = await self._secrets.seal(Owner.TENANT, tenant_id, name, _checked(secret))
        async with self._database.tenant_tx(tenant_id) as tx:
            before = await _own(tx, name)
            config = before.model_copy(update={"credentials": f"db:{name}"})
            await tx.catalog.put_engine_secret(sealed)
            await tx.catalog.put_engine(config)
            await tx.audit.record(
                actor=by.actor,
                action="engine.credentials",
                subject=name,
                origin=by.origin,
                before={"credentials": before.credentials},
                after={"credentials": config.credentials},
            )
        return config

    async def test(self, tenant_id: str, name: str) -> EngineTest:
        """Raises NotFound, Forbidden (the tenant may not use it), Conflict (it runs inside the workers)."""
        async with self._database.tenant_tx(tenant_id) as tx:
            config = _named(await tx.catalog.engines(), name)
            if why_not_allowed(tx.tenant, config) is not None:
                raise Forbidden("the tenant may not use this engine")
        return await self._test(config)

    async def _put(self, tx: TenantTx, config: EngineConfig, before: EngineConfig | None, by: By) -> None:
        await tx.catalog.put_engine(config)
        await tx.audit.record(
            actor=by.actor,
            action="engine.change" if before else "engine.create",
            subject=config.name,
            origin=by.origin,
            before=before,
            after=config,
        )

    # -- the operator's and partners'

    async def seen_above(self, principal: Principal) -> Sequence[EngineConfig]:
        """The engines of the caller's own level. Raises Forbidden for a tenant's key."""
        return await self._database.platform.engines_of(_owner_id(principal))

    async def create_above(self, principal: Principal, new: NewEngine, origin: str | None) -> EngineConfig:
        config = self._configured(new, principal.level)
        if any(engine.name == new.name for engine in await self.seen_above(principal)):
            raise Conflict(f"there is an engine {new.name} already")
        await self._put_above(principal, config, None, origin)
        return config

    async def change_above(
        self, principal: Principal, name: str, change: EngineChange, origin: str | None
    ) -> EngineConfig:
        before = _named(await self.seen_above(principal), name)
        config = self._changed(before, change)
        await self._put_above(principal, config, before, origin)
        return config

    async def set_credentials_above(
        self, principal: Principal, name: str, secret: SecretStr, origin: str | None
    ) -> EngineConfig:
        before = _named(await self.seen_above(principal), name)
        owner_id = _owner_id(principal)
        sealed = await self._secrets.seal(principal.level, owner_id, name, _checked(secret))
        await self._database.platform.put_engine_secret(sealed)
        config = before.model_copy(update={"credentials": f"db:{name}"})
        await self._put_above(principal, config, before, origin, action="engine.credentials")
        return config

    async def test_above(self, principal: Principal, name: str) -> EngineTest:
        return await self._test(_named(await self.seen_above(principal), name))

    async def _put_above(
        self,
        principal: Principal,
        config: EngineConfig,
        before: EngineConfig | None,
        origin: str | None,
        action: str | None = None,
    ) -> None:
        owner_id = _owner_id(principal)
        await self._database.platform.put_engine_of(owner_id, config)
        await self._database.platform.audit(
            owner_id,
            actor=principal.actor,
            action=action or ("engine.change" if before else "engine.create"),
            subject=config.name,
            origin=origin,
            before=before,
            after=config,
        )

    # -- what holds for all

    def _configured(self, new: NewEngine, level: Owner) -> EngineConfig:
        price = new.price or listed_price(new.kind, new.model) or Price()
        config = EngineConfig(id=new_id(), owner=level, **{**dict(new), "price": price})
        return self._valid(config)

    def _changed(self, before: EngineConfig, change: EngineChange) -> EngineConfig:
        given = dict(change.given)
        if "model" in given and "price" not in given:
            given["price"] = listed_price(before.kind, str(given["model"])) or before.price
        return self._valid(before.model_copy(update=given))

    def _valid(self, config: EngineConfig) -> EngineConfig:
        """Raises InvalidInput naming the field and the reason."""
        try:
            self._tester.check(config)
        except EngineRejected as error:
            raise InvalidInput.of("kind" if "kind" in error.message else "parameters", error.message) from None
        credentials = config.credentials
        if credentials is not None and credentials.startswith("db:") and credentials != f"db:{config.name}":
            raise InvalidInput.of("credentials", f"a stored secret of this engine is called db:{config.name}")
        if config.owner is Owner.OPERATOR:
            return config
        if config.kind in IN_PROCESS:
            raise InvalidInput.of("kind", "engines that run inside the workers are the operator's")
        if credentials is not None and not credentials.startswith("db:"):
            raise InvalidInput.of("credentials", "variables and files are for the operator's engines: set a secret")
        host = urlsplit(config.endpoint).hostname if config.endpoint else None
        if config.endpoint and host not in self._hosts:
            raise InvalidInput.of("endpoint", "the operator has not allowed this host for engines")
        # Nobody below the operator decides what counts as being on the premises.
        return config.model_copy(update={"external": True})

    async def _test(self, config: EngineConfig) -> EngineTest:
        if config.kind in IN_PROCESS:
            raise Conflict(f"{config.name} runs inside the workers: nothing is sent, and there is nothing to test here")
        began = time.monotonic()
        try:
            seen = await self._tester.test(config)
        except EngineError as error:
            return EngineTest(config, time.monotonic() - began, error=error)
        except Exception as error:  # an adapter's defect is told like any other trouble
            _log.error("the test of engine %s failed: %s", config.name, where(error))
            told = EngineError(f"the adapter failed with {type(error).__name__}")
            return EngineTest(config, time.monotonic() - began, error=told)
        finally:
            await self._gate.tested(config.id)
        await self._gate.answered(config.id)
        return EngineTest(config, time.monotonic() - began, seen=seen)


def _named(engines: Sequence[EngineConfig], name: str) -> EngineConfig:
    found = next((engine for engine in engines if engine.name == name), None)
    if found is None:
        raise NotFound("no such engine")
    return found


async def _own(tx: TenantTx, name: str) -> EngineConfig:
    found = _named(await tx.catalog.engines(), name)
    if found.owner is not Owner.TENANT:
        raise Forbidden(f"this engine is the {found.owner.value}'s")
    return found


def _owner_id(principal: Principal) -> str:
    if principal.level is Owner.TENANT:
        raise Forbidden("this is for keys of the operator or of a partner")
    return principal.partner_id or OPERATOR


def _checked(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value().strip()
    if not text or len(text) > MAX_SECRET_CHARACTERS or "\0" in text:
        raise InvalidInput.of("secret", f"a text of 1 to {MAX_SECRET_CHARACTERS} characters")
    return SecretStr(text)
