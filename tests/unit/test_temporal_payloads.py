"""The codec, the keys, and what errors become."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from temporalio.api.common.v1 import Payload
from temporalio.exceptions import ApplicationErrorCategory

from domain import errors
from domain.errors import (
    EngineQuotaExhausted,
    EngineRateLimited,
    LimitExceeded,
    ParleyError,
    Superseded,
    Unavailable,
)
from infra.temporal.codec import KeyRing, PayloadUnreadable, SealingCodec, key_id
from infra.temporal.failures import to_application_error

OLD, NEW, OTHER = bytes(range(32)), bytes(range(1, 33)), bytes(range(2, 34))


def seal(codec: SealingCodec, payload: Payload) -> Payload:
    return asyncio.new_event_loop().run_until_complete(codec.encode([payload]))[0]


@given(data=st.binary(max_size=5000), name=st.text(min_size=1, max_size=20))
def test_what_is_sealed_opens_again(data: bytes, name: str) -> None:
    codec = SealingCodec(KeyRing(NEW))
    payload = Payload(metadata={"encoding": b"json/plain", name: b"x"}, data=data)
    loop = asyncio.new_event_loop()
    [sealed] = loop.run_until_complete(codec.encode([payload]))
    loop.close()
    assert codec.open_all([sealed]) == [payload]
    assert sealed.metadata["encryption-key-id"] == key_id(NEW).encode()


def test_long_payloads_are_compressed_and_nothing_shows() -> None:
    payload = Payload(metadata={"encoding": b"json/plain"}, data=b"the customer is called Jane. " * 200)
    sealed = seal(SealingCodec(KeyRing(NEW)), payload)
    assert len(sealed.data) < 300
    assert b"Jane" not in sealed.SerializeToString()


def test_rotated_keys_stay_readable_and_unknown_ones_are_named() -> None:
    payload = Payload(data=b"x")
    before = seal(SealingCodec(KeyRing(OLD)), payload)
    rotated = SealingCodec(KeyRing(NEW, (OLD,)))
    assert rotated.open_all([before, seal(rotated, payload)]) == [payload, payload]
    with pytest.raises(PayloadUnreadable, match=key_id(OLD)):
        SealingCodec(KeyRing(OTHER)).open_all([before])


@pytest.mark.parametrize("field", ["data", "compression", "key"])
def test_an_altered_payload_is_refused(field: str) -> None:
    codec = SealingCodec(KeyRing(NEW, (OLD,)))
    sealed = seal(codec, Payload(data=b"x" * 1000))
    if field == "data":
        sealed.data = sealed.data[:-1] + bytes([sealed.data[-1] ^ 1])
    elif field == "compression":
        sealed.metadata["compression"] = b"none"
    else:
        sealed.metadata["encryption-key-id"] = key_id(OLD).encode()
    with pytest.raises(PayloadUnreadable, match="altered"):
        codec.open_all([sealed])


def test_a_payload_of_somebody_else_passes_through() -> None:
    plain = Payload(metadata={"encoding": b"json/plain"}, data=b"{}")
    assert SealingCodec(KeyRing(NEW)).open_all([plain]) == [plain]


def test_keys_do_not_show() -> None:
    assert "\\x" not in repr(KeyRing(NEW, (OLD,)))
    with pytest.raises(ValueError, match="32 bytes"):
        KeyRing(b"short")


def tree(kind: type[ParleyError]) -> list[type[ParleyError]]:
    return [kind, *(found for child in kind.__subclasses__() for found in tree(child))]


@pytest.mark.parametrize("kind", [k for k in tree(ParleyError) if k.__module__ == errors.__name__])
def test_every_error_keeps_its_code_and_says_whether_to_try_again(kind: type[ParleyError]) -> None:
    error = kind("told", 1.0) if kind in (LimitExceeded, EngineRateLimited) else kind("told")
    mapped = to_application_error(error, attempt=3)
    assert (mapped.type, mapped.message, mapped.non_retryable) == (kind.code, "told", not kind.retryable)
    assert mapped.details == (3,)
    assert mapped.__cause__ is None


@pytest.mark.parametrize(
    ("error", "benign"),
    [
        (EngineRateLimited("x"), True),
        (LimitExceeded("x", 1), True),
        (Superseded("x"), True),
        (EngineQuotaExhausted("x"), True),
        (Unavailable("x"), False),
        (KeyError("x"), False),
    ],
)
def test_what_belongs_to_normal_running_is_no_alarm(error: Exception, benign: bool) -> None:
    category = to_application_error(error, attempt=1).category
    assert (category is ApplicationErrorCategory.BENIGN) is benign


@given(wait=st.floats(min_value=0, max_value=1e5), jitter=st.floats(min_value=0, max_value=0.999))
def test_a_rate_limit_is_waited_out_with_a_little_more(wait: float, jitter: float) -> None:
    mapped = to_application_error(EngineRateLimited("x", wait), attempt=1, jitter=lambda: jitter)
    assert mapped.next_retry_delay is not None
    seconds = mapped.next_retry_delay.total_seconds()
    assert wait - 1e-3 <= seconds <= wait + max(1.0, wait / 4)


def test_without_a_word_from_the_provider_the_policy_decides() -> None:
    assert to_application_error(EngineRateLimited("x"), attempt=1).next_retry_delay is None


@pytest.mark.parametrize("error", [KeyError("jane@example.com"), ValueError("4111 1111 1111 1111")])
def test_an_unexpected_error_shows_its_type_only(error: Exception) -> None:
    mapped = to_application_error(error, attempt=1)
    assert mapped.message == f"unexpected {type(error).__name__}"
    assert (mapped.type, mapped.non_retryable) == ("internal", False)
