"""Limits, breakers and secrets of engines in the real database: what is shared by all processes."""

import asyncio
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from domain.engine import EngineConfig, EngineFamily
from domain.errors import NotFound, Unavailable
from domain.fields import Owner
from domain.ids import new_id
from storage.crypto import MasterKeys
from storage.postgres.database import PostgresDatabase
from storage.postgres.engine_secrets import PostgresEngineSecrets
from storage.postgres.tenant_keys import PostgresDataKeys
from storage.protocols import SliceWanted, Tenant
from tests.support.stack import DatabaseUrls

SECRET = SecretStr("sk-PLANTED-9f27")


def engine(name: str = "hosted", **changes: Any) -> EngineConfig:
    wanted = {
        "id": new_id(),
        "name": name,
        "family": EngineFamily.LANGUAGE_MODEL,
        "kind": "gemini",
        "model": "m",
        "owner": Owner.TENANT,
        "external": True,
        **changes,
    }
    return EngineConfig.model_validate(wanted)


@pytest.fixture
async def engine_id(db: PostgresDatabase, tenant: Tenant) -> str:
    async with db.tenant_tx(tenant.id) as tx:
        await tx.catalog.put_engine(made := engine(f"hosted-{new_id()[:8]}"))
    return made.id


def wanted(engine_id: str, holder: str = "one", **changes: Any) -> SliceWanted:
    given: dict[str, Any] = {
        "engine_id": engine_id,
        "holder": holder,
        "requests": 1,
        "tokens": 100.0,
        "correction": 0.0,
        "request_seconds": 1.0,
        "token_seconds": 0.0,
        "burst": 0.0,
        "horizon": 100.0,
        "wanted": 0,
        "busy": 0,
        "most": 0,
        "ttl": 60.0,
        **changes,
    }
    return SliceWanted.model_validate(given)


async def test_slices_of_many_processes_never_overlap(db: PostgresDatabase, engine_id: str) -> None:
    asks = [wanted(engine_id, f"process-{n % 3}", requests=2) for n in range(12)]
    slices = await asyncio.gather(*(db.engine_gate.slice(ask) for ask in asks))
    starts = sorted(s.starts_at for s in slices)
    assert all(s.granted for s in slices)
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    assert min(gaps) >= 2.0 - 1e-6, "two requests of a second each come before the next slice"


async def test_what_is_too_far_away_is_not_taken(db: PostgresDatabase, engine_id: str) -> None:
    first = await db.engine_gate.slice(wanted(engine_id, requests=10, horizon=1.0))
    refused = await db.engine_gate.slice(wanted(engine_id, requests=10, horizon=1.0))
    again = await db.engine_gate.slice(wanted(engine_id, requests=1, horizon=100.0))
    assert (first.granted, refused.granted, again.granted) == (True, False, True)
    assert again.starts_at == pytest.approx(first.starts_at + 10.0), "the refused one took nothing"


async def test_the_scarcer_of_both_limits_decides_and_corrections_count(db: PostgresDatabase, engine_id: str) -> None:
    ask = wanted(engine_id, request_seconds=0.1, token_seconds=0.1, tokens=50.0)
    first = await db.engine_gate.slice(ask)
    second = await db.engine_gate.slice(ask)
    assert second.starts_at == pytest.approx(first.starts_at + 5.0)
    third = await db.engine_gate.slice(ask.model_copy(update={"correction": 20.0}))
    assert third.starts_at == pytest.approx(second.starts_at + 5.0 + 2.0)
    fourth = await db.engine_gate.slice(ask.model_copy(update={"correction": -40.0}))
    assert fourth.starts_at == pytest.approx(third.starts_at + 5.0 - 4.0)


async def test_only_a_burst_is_caught_up_on(db: PostgresDatabase, engine_id: str) -> None:
    found = await db.engine_gate.slice(wanted(engine_id, burst=2.0))
    assert found.starts_at == pytest.approx(found.at - 2.0, abs=0.01)


async def test_a_pause_holds_for_everybody(db: PostgresDatabase, engine_id: str) -> None:
    await db.engine_gate.pause(engine_id, 50.0)
    await db.engine_gate.pause(engine_id, 5.0)  # a shorter one does not end a longer one
    found = await db.engine_gate.slice(wanted(engine_id, "another"))
    assert found.starts_at - found.at == pytest.approx(50.0, abs=1.0)


async def test_places_are_shared_fairly_and_never_exceed_the_limit(db: PostgresDatabase, engine_id: str) -> None:
    async def ask(holder: str, want: int, busy: int = 0) -> int:
        made = wanted(engine_id, holder, requests=0, wanted=want, busy=busy, most=8)
        return (await db.engine_gate.slice(made)).held

    assert await ask("one", 20) == 8
    assert await ask("two", 20) == 0, "all are taken; nobody is pushed out"
    assert await ask("one", 20, busy=6) == 6, "what is under way stays under way"
    assert await ask("two", 20) == 2
    assert await ask("one", 20, busy=3) == 4, "half each while both want more"
    assert await ask("two", 20, busy=2) == 4
    assert await ask("one", 1) == 1
    assert await ask("two", 20) == 7, "what one does not want the other has"
    assert await ask("two", 0) == 0
    assert await ask("one", 20) == 8


async def test_a_dead_processs_places_come_back(db: PostgresDatabase, engine_id: str) -> None:
    dead = wanted(engine_id, "dead", requests=0, wanted=8, most=8, ttl=0.0)
    assert (await db.engine_gate.slice(dead)).held == 8
    alive = wanted(engine_id, "alive", requests=0, wanted=8, most=8)
    assert (await db.engine_gate.slice(alive)).held == 8


async def test_the_breaker_opens_for_all_is_tried_by_one_and_closes(db: PostgresDatabase, engine_id: str) -> None:
    async def state() -> tuple[str, int]:
        found = await db.engine_gate.slice(wanted(engine_id, requests=0))
        return found.state, found.failures

    async def fail() -> None:
        await db.engine_gate.failed(engine_id, threshold=3, detail="engine_unavailable")

    await fail()
    await fail()
    assert await state() == ("closed", 2)
    await db.engine_gate.answered(engine_id)
    assert await state() == ("closed", 0)
    for _ in range(3):
        await fail()
    assert await state() == ("open", 3)
    assert not await db.engine_gate.probe(engine_id, cool_down=60.0)
    tries = await asyncio.gather(*(db.engine_gate.probe(engine_id, cool_down=0.0001) for _ in range(5)))
    assert tries.count(True) >= 1
    assert await state() == ("half_open", 3)
    await fail()
    assert await state() == ("open", 4)
    assert not await db.engine_gate.probe(engine_id, cool_down=60.0), "it cools down anew"
    await db.engine_gate.probe(engine_id, cool_down=0.0)
    await db.engine_gate.answered(engine_id)
    assert await state() == ("closed", 0)


async def test_one_of_many_is_the_one_that_tries(db: PostgresDatabase, engine_id: str, database: DatabaseUrls) -> None:
    await db.engine_gate.failed(engine_id, threshold=1, detail="x")
    with psycopg.connect(database.admin, autocommit=True) as admin:
        admin.execute(
            "update engine_health set changed_at = now() - interval '1 minute' where engine_id = %s", (engine_id,)
        )
    tries = await asyncio.gather(*(db.engine_gate.probe(engine_id, cool_down=30.0) for _ in range(8)))
    assert tries.count(True) == 1


# -- secrets


@dataclass(frozen=True)
class Vault:
    secrets: PostgresEngineSecrets
    stranger: PostgresEngineSecrets
    """Of a process with another master key."""


@pytest.fixture
async def vault(db: PostgresDatabase) -> Vault:
    ours, theirs = MasterKeys(b"k" * 31 + b"1"), MasterKeys(b"k" * 31 + b"2")
    return Vault(
        PostgresEngineSecrets(db.platform, PostgresDataKeys(db, ours), ours),
        PostgresEngineSecrets(db.platform, PostgresDataKeys(db, theirs), theirs),
    )


async def kept(db: PostgresDatabase, tenant: Tenant, vault: Vault, secret: SecretStr = SECRET) -> None:
    sealed = await vault.secrets.seal(Owner.TENANT, tenant.id, "mine", secret)
    async with db.tenant_tx(tenant.id) as tx:
        await tx.catalog.put_engine_secret(sealed)


async def test_a_tenants_secret_is_sealed_and_comes_back_for_its_engine_only(
    db: PostgresDatabase, tenant: Tenant, other: Tenant, vault: Vault, engine_id: str
) -> None:
    await kept(db, tenant, vault)
    assert await vault.secrets.secret(engine_id, "mine") == SECRET
    async with db.tenant_tx(other.id) as tx:
        await tx.catalog.put_engine(theirs := engine("mine"))
    for wrong_engine, name in ((theirs.id, "mine"), (engine_id, "another"), (new_id(), "mine")):
        with pytest.raises(NotFound):
            await vault.secrets.secret(wrong_engine, name)
    await kept(db, tenant, vault, SecretStr("sk-rotated"))
    assert (await vault.secrets.secret(engine_id, "mine")).get_secret_value() == "sk-rotated"


async def test_an_operators_secret_needs_the_master_key(db: PostgresDatabase, vault: Vault) -> None:
    made = engine("shared", owner=Owner.OPERATOR, credentials="db:shared")
    await db.platform.put_engine_of("operator", made)
    await db.platform.put_engine_secret(await vault.secrets.seal(Owner.OPERATOR, "operator", "shared", SECRET))
    assert await vault.secrets.secret(made.id, "shared") == SECRET
    with pytest.raises(Unavailable) as raised:
        await vault.stranger.secret(made.id, "shared")
    assert "PLANTED" not in str(raised.value)


async def test_a_secret_opens_nowhere_but_in_its_place(
    db: PostgresDatabase, tenant: Tenant, other: Tenant, vault: Vault, engine_id: str
) -> None:
    """A row that was copied to another owner or name, or changed, does not open."""
    sealed = await vault.secrets.seal(Owner.TENANT, tenant.id, "mine", SECRET)
    for moved in (
        sealed.model_copy(update={"name": "moved"}),
        sealed.model_copy(update={"name": "cut", "sealed": sealed.sealed[:-1]}),
    ):
        async with db.tenant_tx(tenant.id) as tx:
            await tx.catalog.put_engine_secret(moved)
        with pytest.raises(Unavailable):
            await vault.secrets.secret(engine_id, moved.name)


async def test_nobody_reads_what_is_sealed_back(
    db: PostgresDatabase, tenant: Tenant, vault: Vault, database: DatabaseUrls
) -> None:
    await kept(db, tenant, vault)
    with psycopg.connect(database.app) as app:
        app.execute("select set_config('parley.tenant_id', %s, true)", (tenant.id,))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute("select sealed from engine_secret")
    with psycopg.connect(database.admin) as admin:
        rows = admin.execute("select sealed from engine_secret").fetchall()
    assert rows
    assert not any(SECRET.get_secret_value().encode() in bytes(row[0]) for row in rows)
    assert "PLANTED" not in repr(await vault.secrets.seal(Owner.TENANT, tenant.id, "mine", SECRET))
