"""Hosted language models through their real SDKs against servers of their wire formats: every fault by its name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from domain.errors import (
    EngineAnswerMalformed,
    EngineError,
    EngineRateLimited,
    EngineRejected,
    EngineTimeout,
    EngineUnavailable,
)
from domain.starter import CSAT
from tests.support import anthropic_wire, openai_wire
from tests.support.hosted import ANTHROPIC, HOSTED, OPENAI, Hosted
from tests.support.language_models import ask, request_for
from tests.support.wire_server import HANG, Reply, WireServer, dropped, half, html, wire_server

CASES = [(hosted, name) for hosted in HOSTED for name in hosted.faults]


@pytest.fixture(params=HOSTED, ids=str)
def hosted(request: pytest.FixtureRequest) -> Hosted:
    found: Hosted = request.param
    return found


@pytest.fixture
def server(hosted: Hosted) -> Iterator[WireServer]:
    with wire_server(lambda _: hosted.answer("{}")) as running:
        yield running


async def raised_by(hosted: Hosted, server: WireServer, reply: Reply) -> EngineError:
    """The one error of one request, with no secret, no word of the provider's and no cause that may carry either."""
    server.script.append(reply)
    with pytest.raises(EngineError) as raised:
        await ask(hosted.engine(server), request_for((CSAT,)))
    said = f"{raised.value} {raised.value!r}"
    assert "SECRET" not in said
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__ or raised.value.__context__ is None
    assert server.count == 1, "retries are the orchestration's"
    return raised.value


@pytest.mark.parametrize(("hosted", "name"), CASES, ids=str)
async def test_every_fault_has_its_name_and_is_asked_once(hosted: Hosted, name: str) -> None:
    reply, expected = hosted.faults[name]
    with wire_server(lambda _: hosted.answer("{}")) as server:
        error = await raised_by(hosted, server, reply)
    assert type(error) is expected


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda h: html(), EngineAnswerMalformed),
        (lambda h: half(h.answer('{"csat": 4}')), EngineAnswerMalformed),
        (lambda h: Reply(body=b"[1, 2]"), EngineAnswerMalformed),
        (lambda h: Reply(body=b"\xff\xfe\x00"), EngineAnswerMalformed),
        (lambda h: dropped(h.answer("{}")), EngineUnavailable),
        (lambda h: Reply(status=302, headers={"Location": "http://127.0.0.1:9/stolen"}), EngineAnswerMalformed),
    ],
    ids=["a page", "half a JSON", "a list", "no text", "dropped", "sent elsewhere"],
)
async def test_what_is_no_answer_of_the_api(
    hosted: Hosted, server: WireServer, damage: Callable[[Hosted], Reply], expected: type[EngineError]
) -> None:
    assert type(await raised_by(hosted, server, damage(hosted))) is expected


@pytest.mark.parametrize(
    ("hosted", "reply"),
    [(OPENAI, openai_wire.another_shape()), (ANTHROPIC, anthropic_wire.another_shape())],
    ids=["openai", "anthropic"],
)
async def test_json_of_another_shape_is_malformed(hosted: Hosted, reply: Reply) -> None:
    with wire_server(lambda _: reply) as server:
        assert type(await raised_by(hosted, server, reply)) is EngineAnswerMalformed


async def test_a_rate_limit_says_when_to_come_back(hosted: Hosted, server: WireServer) -> None:
    error = await raised_by(hosted, server, hosted.wait)
    assert isinstance(error, EngineRateLimited)
    assert error.retry_after == 37.0


async def test_a_server_that_hangs_is_given_up(hosted: Hosted, server: WireServer) -> None:
    # The SDK is loaded first: that takes longer than this request may.
    engine = hosted.engine(server)
    await ask(engine, request_for((CSAT,)))
    server.script.append(HANG)
    async with asyncio.timeout(10):
        with pytest.raises(EngineTimeout):
            await ask(engine, request_for((CSAT,), timeout=0.3))
    assert server.count == 2


async def test_a_request_that_is_cancelled_ends_at_once(hosted: Hosted, server: WireServer) -> None:
    server.script.append(HANG)
    asking = asyncio.create_task(ask(hosted.engine(server), request_for((CSAT,), timeout=60)))
    async with asyncio.timeout(10):
        while server.count == 0:
            await asyncio.sleep(0.01)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking


async def test_nobody_listens(hosted: Hosted) -> None:
    with wire_server(lambda _: hosted.answer("{}")) as gone:
        engine = hosted.engine(gone)
    with pytest.raises(EngineUnavailable):
        await ask(engine, request_for((CSAT,)))


async def test_two_engines_in_one_process_keep_their_keys_apart(
    hosted: Hosted, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "GOOGLE_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.setenv(name, "of-the-process")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-the-process")
    with wire_server(lambda _: hosted.answer("{}")) as one, wire_server(lambda _: hosted.answer("{}")) as two:
        first, second = hosted.engine(one, "key-a"), hosted.engine(two, "key-b")
        await asyncio.gather(*(ask(e, request_for((CSAT,))) for e in (first, second, first, second)))
        for server, key in ((one, "key-a"), (two, "key-b")):
            assert {hosted.key_of(r) for r in server.received} == {key}
            assert not any("of-the-process" in value for r in server.received for value in r.headers.values())


async def test_the_self_test_sends_a_small_request(hosted: Hosted, server: WireServer) -> None:
    server.respond = lambda _: hosted.answer('{"ready": true}')
    seen = await hosted.engine(server).test()
    assert "answered in" in seen
    assert "120 tokens" in seen
    assert server.count == 1


async def test_the_self_test_tells_a_wrong_key(hosted: Hosted, server: WireServer) -> None:
    server.respond = lambda _: hosted.faults["401"][0]
    with pytest.raises(EngineRejected) as raised:
        await hosted.engine(server).test()
    assert "401" in raised.value.message


def test_an_unknown_parameter_is_refused_by_name(hosted: Hosted, server: WireServer) -> None:
    with pytest.raises(EngineRejected, match="not valid: warmth"):
        hosted.engine(server, warmth="SECRET")


def test_without_a_key_there_is_no_engine(hosted: Hosted, server: WireServer) -> None:
    with pytest.raises(EngineRejected):
        hosted.engine(server, key="")
