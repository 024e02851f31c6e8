"""Requests that may be sent twice: what happens while the first is answered slowly, or by a process that dies."""

import asyncio

import pytest

from domain.tenants import NewTenant
from services import idempotency
from services.idempotency import Idempotency, Reply
from storage.postgres.database import PostgresDatabase
from tests.support.provisioned import new_tenant

KEPT = Reply(202, b"{}")


@pytest.fixture(scope="module")
async def tenant_id(db: PostgresDatabase) -> str:
    wanted: NewTenant = new_tenant("answers")
    return (await db.platform.create_tenant(wanted)).id


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "RENEW_SECONDS", 0.1)
    monkeypatch.setattr(idempotency, "ABANDONED_SECONDS", 1.0)


async def test_a_slow_answer_keeps_its_claim(db: PostgresDatabase, tenant_id: str) -> None:
    answers = 0

    async def slowly() -> Reply:
        nonlocal answers
        answers += 1
        await asyncio.sleep(2.5)  # well beyond what counts as abandoned
        return KEPT

    service = Idempotency(db, wait_seconds=30)
    first, second = await asyncio.gather(*(service.once(tenant_id, "slow", b"request", slowly) for _ in range(2)))
    assert answers == 1
    assert sorted((first.replayed, second.replayed)) == [False, True]
    assert first.body == second.body == KEPT.body


async def test_the_claim_of_a_process_that_died_is_taken_over_soon(db: PostgresDatabase, tenant_id: str) -> None:
    died = asyncio.Event()

    async def dies() -> Reply:
        died.set()
        await asyncio.Event().wait()
        raise AssertionError

    class Gone(Idempotency):
        """As after kill -9: nobody renews the claim, nobody gives it back."""

        async def _release(self, tenant_id: str, key: str) -> None:
            return

    first = asyncio.create_task(Gone(db).once(tenant_id, "died", b"request", dies))
    await died.wait()
    first.cancel()
    await asyncio.wait({first})

    async def answer() -> Reply:
        return KEPT

    assert await Idempotency(db, wait_seconds=30).once(tenant_id, "died", b"request", answer) == KEPT


async def test_an_answer_is_kept_although_it_was_being_renewed(db: PostgresDatabase, tenant_id: str) -> None:
    async def answer() -> Reply:
        await asyncio.sleep(0.15)
        return KEPT

    service = Idempotency(db)
    assert not (await service.once(tenant_id, "kept", b"request", answer)).replayed
    assert (await service.once(tenant_id, "kept", b"request", answer)).replayed
