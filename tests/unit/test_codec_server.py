"""The codec endpoint: opens payloads for operators only, and only for the browser origins it was given."""

import base64
import json

import httpx
import pytest
from starlette.requests import Request
from temporalio.api.common.v1 import Payload, Payloads

from domain.errors import Forbidden, Unauthenticated
from infra.temporal.codec import KeyRing, SealingCodec
from infra.temporal.codec_server import MAX_BODY_BYTES, codec_app

ORIGIN = "http://ui.test"
CODEC = SealingCodec(KeyRing(bytes(range(32))))


async def authorize(request: Request) -> None:
    token = request.headers.get("authorization")
    if token is None:
        raise Unauthenticated("no key")
    if token != "Bearer operator":
        raise Forbidden("not an operator")


@pytest.fixture
async def http() -> httpx.AsyncClient:
    transport = httpx.ASGITransport(codec_app(CODEC, authorize, origins=[ORIGIN]))
    return httpx.AsyncClient(
        transport=transport, base_url="http://api.test", headers={"authorization": "Bearer operator"}
    )


async def body(*payloads: Payload) -> str:
    from google.protobuf.json_format import MessageToJson

    return MessageToJson(Payloads(payloads=payloads))


async def test_opens_what_is_sealed_and_leaves_the_rest(http: httpx.AsyncClient) -> None:
    plain = Payload(metadata={"encoding": b"json/plain"}, data=b'{"a":1}')
    [sealed] = await CODEC.encode([plain])
    [foreign] = await SealingCodec(KeyRing(bytes(range(1, 33)))).encode([plain])
    answer = await http.post("/decode", content=await body(sealed, plain, foreign), headers={"x-namespace": ""})
    assert answer.status_code == 200
    shown = json.loads(answer.text)["payloads"]
    assert [base64.b64decode(p["data"]) for p in shown] == [b'{"a":1}', b'{"a":1}', foreign.data]


@pytest.mark.parametrize(("token", "status"), [(None, 401), ("Bearer tenant", 403)])
async def test_refuses_everybody_else(http: httpx.AsyncClient, token: str | None, status: int) -> None:
    del http.headers["authorization"]
    headers = {"authorization": token} if token else {}
    assert (await http.post("/decode", content="{}", headers=headers)).status_code == status


@pytest.mark.parametrize("content", ["", "{", '{"payloads": 3}', b"\xff\xfe", '{"nonsense": 1}'])
async def test_a_body_that_is_no_payloads_is_told(http: httpx.AsyncClient, content: str | bytes) -> None:
    assert (await http.post("/decode", content=content)).status_code == 400


async def test_a_body_without_end_is_cut_off(http: httpx.AsyncClient) -> None:
    assert (await http.post("/decode", content=b" " * (MAX_BODY_BYTES + 1))).status_code == 413


@pytest.mark.parametrize(("origin", "allowed"), [(ORIGIN, True), ("http://elsewhere.test", False)])
async def test_browsers_are_let_in_by_origin(http: httpx.AsyncClient, origin: str, allowed: bool) -> None:
    asked = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,x-namespace",
    }
    answer = await http.options("/decode", headers=asked)
    assert (answer.headers.get("access-control-allow-origin") == origin) is allowed
