"""Idempotency-Key: one effect, one answer, whoever races."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import httpx
import psycopg
import pytest

from domain.errors import Unavailable
from services.idempotency import Idempotency, Reply, StillAnswering
from tests.api.test_bad_input import problem
from tests.support.api_bodies import chat
from tests.support.api_seed import storage_of
from tests.support.api_server import ApiServer, Tenant
from tests.support.stack import DatabaseUrls

UPLOAD = {"size": 10, "sha256": "a" * 64}


def keyed(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


def test_the_same_key_gives_the_same_answer(client: httpx.Client) -> None:
    first = client.post("/v1/uploads", json=UPLOAD, headers=keyed("one"))
    again = client.post("/v1/uploads", json=UPLOAD, headers=keyed("one"))
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    other = client.post("/v1/uploads", json=UPLOAD, headers=keyed("another"))
    assert other.json()["id"] != first.json()["id"]


def test_the_same_key_for_something_else_is_refused(client: httpx.Client) -> None:
    assert client.post("/v1/uploads", json=UPLOAD, headers=keyed("two")).status_code == 201
    changed = client.post("/v1/uploads", json={**UPLOAD, "size": 11}, headers=keyed("two"))
    assert problem(changed, 422, "idempotency_mismatch")["errors"][0]["field"] == "Idempotency-Key"
    elsewhere = client.post("/v1/conversations", json=chat(), headers=keyed("two"))
    problem(elsewhere, 422, "idempotency_mismatch")


def test_the_answer_stays_as_it_was_when_the_world_has_moved_on(client: httpx.Client) -> None:
    body = chat()
    first = client.post("/v1/conversations", json=body, headers=keyed("three"))
    changed = {**body, "messages": [*body["messages"], {"author": "c1", "text": "And?"}]}
    assert client.post("/v1/conversations", json=changed).json()["revision"] == 2
    again = client.post("/v1/conversations", json=body, headers=keyed("three"))
    assert (again.status_code, again.content) == (202, first.content)
    rerun = f"/v1/conversations/{first.json()['id']}/rerun"
    entries = {client.post(rerun, headers=keyed("rerun")).json()["entry"] for _ in range(3)}
    assert len(entries) == 1


def test_a_refusal_is_not_kept(client: httpx.Client) -> None:
    wrong = client.post("/v1/uploads", json={**UPLOAD, "size": 0}, headers=keyed("four"))
    assert wrong.status_code == 422
    absent = "/v1/conversations/00000000-0000-4000-8000-000000000000/rerun"
    problem(client.post(absent, headers=keyed("four")), 404, "not_found")
    assert client.post("/v1/uploads", json=UPLOAD, headers=keyed("four")).status_code == 201


def test_keys_are_the_tenants_own(api: ApiServer, client: httpx.Client) -> None:
    mine = client.post("/v1/uploads", json=UPLOAD, headers=keyed("five")).json()["id"]
    with api.client(api.tenant("neighbour").key) as other:
        theirs = other.post("/v1/uploads", json=UPLOAD, headers=keyed("five"))
        assert (theirs.status_code, theirs.json()["id"] != mine) == (201, True)


@pytest.mark.parametrize("key", ["x" * 256, "with space", "tab\there", "caf\xe9"])
def test_a_malformed_key_is_refused(client: httpx.Client, key: str) -> None:
    answer = client.post("/v1/uploads", json=UPLOAD, headers={b"Idempotency-Key": key.encode("latin-1")})
    assert problem(answer, 422, "invalid_input")["errors"][0]["field"] == "Idempotency-Key"


async def test_thirty_at_once_have_one_effect(api: ApiServer, tenant: Tenant) -> None:
    async with api.async_client(tenant.key) as client:
        accepted = (await client.post("/v1/conversations", json=chat())).json()
        rerun = f"/v1/conversations/{accepted['id']}/rerun"
        answers = await asyncio.gather(*(client.post(rerun, headers=keyed("burst")) for _ in range(30)))
        executions = (await client.get(accepted["links"]["executions"])).json()
    assert {answer.status_code for answer in answers} == {202}
    assert {answer.json()["entry"] for answer in answers} == {2}
    assert Counter("idempotent-replayed" in answer.headers for answer in answers) == {True: 29, False: 1}
    assert [run["entry"] for run in executions["runs"]] == [1, 2]


# -- the service by itself ----------------------------------------------------------------------------------


def failing(error: Exception) -> Callable[[], Awaitable[Reply]]:
    async def answer() -> Reply:
        raise error

    return answer


async def ok() -> Reply:
    return Reply(202, b'{"done": true}')


async def test_a_failure_gives_the_key_back(api: ApiServer, tenant: Tenant) -> None:
    async with storage_of(api.settings) as storage:
        service = Idempotency(storage.database)
        for error in (Unavailable("away"), RuntimeError("defect"), asyncio.CancelledError()):
            with pytest.raises(type(error)):
                await service.once(tenant.id, "failing", b"x", failing(error))  # type: ignore[arg-type]
        bad = Reply(503, b"{}")
        assert await service.once(tenant.id, "failing", b"x", lambda: _later(bad)) == bad
        assert (await service.once(tenant.id, "failing", b"x", ok)).status == 202
        assert (await service.once(tenant.id, "failing", b"x", failing(RuntimeError()))).replayed


async def _later(reply: Reply) -> Reply:
    return reply


async def test_who_comes_second_waits_and_then_gives_up(api: ApiServer, tenant: Tenant) -> None:
    async with storage_of(api.settings) as storage:
        service = Idempotency(storage.database, wait_seconds=0.3)
        begun, release = asyncio.Event(), asyncio.Event()

        async def slow() -> Reply:
            begun.set()
            await release.wait()
            return Reply(202, b"{}")

        first = asyncio.create_task(service.once(tenant.id, "slow", b"x", slow))
        await begun.wait()
        with pytest.raises(StillAnswering):
            await service.once(tenant.id, "slow", b"x", failing(AssertionError()))
        release.set()
        assert not (await first).replayed
        assert (await service.once(tenant.id, "slow", b"x", failing(AssertionError()))).replayed


async def test_a_claim_of_a_process_that_died_is_taken_over(
    api: ApiServer, tenant: Tenant, database: DatabaseUrls
) -> None:
    async with storage_of(api.settings) as storage:
        async with storage.database.tenant_tx(tenant.id) as tx:
            await tx.idempotency.claim("died", "another request's hash", abandoned_after_seconds=60)
        with psycopg.connect(database.admin) as connection:
            connection.execute(
                "update idempotency_key set created_at = now() - interval '5 minutes' where key = 'died'"
            )
        assert (await Idempotency(storage.database).once(tenant.id, "died", b"x", ok)).status == 202
