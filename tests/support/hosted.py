"""The hosted language models of the contract suites: how each is configured, and how it looks on its wire."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from domain.engine import EngineConfig, EngineFamily, EngineLimits
from domain.errors import (
    EngineAnswerEmpty,
    EngineAnswerTruncated,
    EngineBlocked,
    EngineError,
    EngineQuotaExhausted,
    EngineRateLimited,
    EngineRefused,
    EngineRejected,
    EngineTimeout,
    EngineUnavailable,
)
from domain.ids import new_id
from engines.language_models.registry import build
from engines.protocols import LanguageModelEngine
from tests.support import anthropic_wire, openai_wire, vertex_wire
from tests.support.wire_server import Received, Reply, WireServer, html

KEY = "key-SECRET-1"


@dataclass(frozen=True)
class Hosted:
    """One provider.

    base: path of the endpoint; answer: a reply with this text; asked: keys of the fields a request asks for; key_of:
    the credential a request carries; faults: replies with the error each is; wait: a 429 that says 37 s.
    """

    kind: str
    base: str
    answer: Callable[[str], Reply]
    asked: Callable[[Received], list[str]]
    key_of: Callable[[Received], str | None]
    faults: dict[str, tuple[Reply, type[EngineError]]]
    wait: Reply

    def __str__(self) -> str:
        return self.kind

    def engine(self, server: WireServer, key: str = KEY, **parameters: Any) -> LanguageModelEngine:
        config = EngineConfig(
            id=new_id(),
            name=f"{self.kind}-test",
            family=EngineFamily.LANGUAGE_MODEL,
            kind=self.kind,
            model="test-model",
            endpoint=server.url + self.base,
            credentials="env:TEST_KEY",
            parameters=parameters,
            limits=EngineLimits(concurrency=8),
            external=True,
        )
        return build(config, SecretStr(key))

    def good_answer(self, received: Received) -> Reply:
        """What a good model would say, for whatever fields it is asked."""
        evidence = [{"turn": 2, "quote": "it hasn't arrived and I'm really disappointed"}]
        known = {"csat": 1, "sentiment": "negative", "contact_reason": "delivery"}
        answers = {
            key: {"kind": "inferred", "value": known[key], "explanation": "Late.", "evidence": evidence}
            if key in known
            else {"kind": "unknown", "explanation": "No ground.", "evidence": []}
            for key in self.asked(received)
        }
        return self.answer(json.dumps(answers))


def _status_faults(error: Callable[[int], Reply]) -> dict[str, tuple[Reply, type[EngineError]]]:
    return {
        "400": (error(400), EngineRejected),
        "401": (error(401), EngineRejected),
        "403": (error(403), EngineRejected),
        "404": (error(404), EngineRejected),
        "402": (error(402), EngineQuotaExhausted),
        "408": (error(408), EngineTimeout),
        "500": (error(500), EngineUnavailable),
        "502 with a page": (html(502), EngineUnavailable),
        "503": (error(503), EngineUnavailable),
        "504": (error(504), EngineTimeout),
        "529": (error(529), EngineUnavailable),
    }


OPENAI = Hosted(
    kind="openai_compatible",
    base="/v1",
    answer=openai_wire.answer,
    asked=lambda r: list(r.body["response_format"]["json_schema"]["schema"]["properties"]),
    key_of=lambda r: r.headers.get("authorization", "").removeprefix("Bearer "),
    faults=_status_faults(lambda status: openai_wire.error(status, "some_code"))
    | {
        "429": (openai_wire.rate_limited(), EngineRateLimited),
        "quota": (openai_wire.error(429, "insufficient_quota"), EngineQuotaExhausted),
        "tomorrow": (openai_wire.rate_limited(retry_after="40000"), EngineQuotaExhausted),
        "filtered request": (openai_wire.error(400, "content_filter"), EngineBlocked),
        "filtered answer": (openai_wire.answer(None, finish="content_filter"), EngineBlocked),
        "refusal": (openai_wire.answer(None, refusal="I will not."), EngineRefused),
        "cut off": (openai_wire.answer('{"csat": {"ki', finish="length"), EngineAnswerTruncated),
        "blank": (openai_wire.answer("  "), EngineAnswerEmpty),
        "nothing": (openai_wire.answer(None), EngineAnswerEmpty),
        "no choices": (openai_wire.no_choices(), EngineAnswerEmpty),
    },
    wait=openai_wire.rate_limited(retry_after="37"),
)

ANTHROPIC = Hosted(
    kind="anthropic",
    base="",
    answer=anthropic_wire.handed_in,
    asked=lambda r: list(r.body["tools"][0]["input_schema"]["properties"]),
    key_of=lambda r: r.headers.get("x-api-key") or r.headers.get("authorization", "").removeprefix("Bearer "),
    faults=_status_faults(lambda status: anthropic_wire.error(status, "some_error"))
    | {
        "429": (anthropic_wire.error(429, "rate_limit_error"), EngineRateLimited),
        "billing": (anthropic_wire.error(400, "billing_error"), EngineQuotaExhausted),
        "spent": (anthropic_wire.error(429, "rate_limit_error", "enforced_spend_limit_reached"), EngineQuotaExhausted),
        "overloaded": (anthropic_wire.error(529, "overloaded_error"), EngineUnavailable),
        "refusal": (anthropic_wire.text("No.", stop="refusal"), EngineRefused),
        "cut off": (anthropic_wire.text('{"csat": {"ki', stop="max_tokens"), EngineAnswerTruncated),
        "full": (anthropic_wire.text("…", stop="model_context_window_exceeded"), EngineAnswerTruncated),
        "blank": (anthropic_wire.text("  "), EngineAnswerEmpty),
        "nothing": (anthropic_wire.message(), EngineAnswerEmpty),
    },
    wait=anthropic_wire.error(429, "rate_limit_error", retry_after="37"),
)

VERTEX = Hosted(
    kind="vertex",
    base="",
    answer=vertex_wire.answer,
    asked=lambda r: list(r.body["generationConfig"]["responseJsonSchema"]["properties"]),
    key_of=lambda r: r.headers.get("x-goog-api-key"),
    faults=_status_faults(lambda status: vertex_wire.error(status, "SOME_STATUS"))
    | {
        "429": (vertex_wire.rate_limited(None), EngineRateLimited),
        "daily quota": (vertex_wire.daily_quota(), EngineQuotaExhausted),
        "blocked": (vertex_wire.prompt_blocked(), EngineBlocked),
        "safety": (vertex_wire.withheld("SAFETY"), EngineBlocked),
        "recitation": (vertex_wire.withheld("RECITATION"), EngineBlocked),
        "something new": (vertex_wire.withheld("SOMETHING_NEW"), EngineAnswerEmpty),
        "cut off": (vertex_wire.answer('{"csat": {"ki', finish="MAX_TOKENS"), EngineAnswerTruncated),
        "thought too long": (vertex_wire.withheld("MAX_TOKENS"), EngineAnswerTruncated),
        "blank": (vertex_wire.answer("  "), EngineAnswerEmpty),
        "no candidates": (vertex_wire.no_candidates(), EngineAnswerEmpty),
    },
    wait=vertex_wire.rate_limited("37s"),
)

HOSTED = (OPENAI, ANTHROPIC, VERTEX)
