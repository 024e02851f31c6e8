"""Google's Gemini through google-generativeai: one request, one JSON answer, every failure by its name.

The SDK's REST transport runs in threads of this engine's own; its async methods need gRPC, which many networks and
every plain HTTP test server refuse. Nothing is configured globally: each engine has its own client, so that several
tenants' keys and endpoints live in one process. The SDK's retries are off: retries are the orchestration's.

Thinking models: this SDK has no options and no counts for thinking, so output tokens are the total less the prompt.
"""

import asyncio
import time
import warnings
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache, cached_property
from typing import Any

from pydantic import SecretStr

from domain.engine import EngineConfig, Usage
from domain.errors import (
    EngineAnswerEmpty,
    EngineAnswerMalformed,
    EngineAnswerTruncated,
    EngineBlocked,
    EngineError,
    EngineQuotaExhausted,
    EngineRateLimited,
    EngineRejected,
    EngineTimeout,
    EngineUnavailable,
)
from engines.language_models.layout import conversation_text, task_text
from engines.protocols import AnswerRequest, ModelAnswer, Progress

DEFAULT_CONCURRENCY = 16
GRACE_SECONDS = 2.0
"""How much longer than the request's own timeout the thread is waited for: requests' timeout is per read."""

PASSED_ON = ("temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty")
"""Parameters of the engine's configuration that go into the generation config."""

SAFETY_CATEGORIES = ("harassment", "hate_speech", "sexual", "dangerous")
DEFAULT_SAFETY = "block_only_high"
"""Angry customers swear; the provider's default would refuse conversations that have to be understood."""

_WITHHOLDING = ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE", "IMAGE_SAFETY")
_KEPT_KEYWORDS = ("description", "nullable", "enum", "required")


class GeminiEngine:
    """Fulfils `engines.protocols.LanguageModelEngine`."""

    def __init__(self, config: EngineConfig, secret: SecretStr | None) -> None:
        """Raises EngineRejected without an API key. Nothing is loaded or sent before the first request."""
        if secret is None or not secret.get_secret_value():
            raise EngineRejected(f"engine {config.name} needs an API key: its credentials lead to none")
        self._config = config
        self._secret = secret
        self._threads = ThreadPoolExecutor(
            max_workers=config.limits.concurrency or DEFAULT_CONCURRENCY, thread_name_prefix=f"gemini-{config.name}"
        )

    async def answer(self, request: AnswerRequest, progress: Progress) -> ModelAnswer:
        progress(0.0)
        generation = {
            "temperature": 0.0,
            **{key: self._config.parameters[key] for key in PASSED_ON if key in self._config.parameters},
            "candidate_count": 1,
            "max_output_tokens": request.max_output_tokens,
            "response_mime_type": "application/json",
            "response_schema": gemini_schema(request.schema),
        }
        contents = [{"role": "user", "parts": [conversation_text(request.turns), task_text(request)]}]
        response = await self._send(request.system, contents, generation, request.timeout_seconds)
        answer = _read(response, self._config.model)
        progress(1.0)
        return answer

    async def test(self) -> str:
        generation = {"temperature": 0.0, "max_output_tokens": 256}
        began = time.monotonic()
        contents = [{"role": "user", "parts": ["Answer with the one word: ready"]}]
        response = await self._send(None, contents, generation, 30.0)
        answer = _read(response, self._config.model)
        took = round((time.monotonic() - began) * 1000)
        return f"{answer.model} answered in {took} ms, {answer.usage.input_tokens + answer.usage.output_tokens} tokens"

    async def _send(
        self, system: str | None, contents: list[dict[str, Any]], generation: dict[str, Any], seconds: float
    ) -> Any:
        def call() -> Any:
            # retry=None switches the SDK's own retries off
            return self._model(system).generate_content(
                contents, generation_config=generation, request_options={"retry": None, "timeout": seconds}
            )

        try:
            work = asyncio.get_running_loop().run_in_executor(self._threads, call)
            return await asyncio.wait_for(work, seconds + GRACE_SECONDS)
        except EngineError:
            raise
        except Exception as error:
            raise _typed(error, self._config.name) from None

    def _model(self, system: str | None) -> Any:
        threshold = str(self._config.parameters.get("safety", DEFAULT_SAFETY))
        try:
            model = _sdk().GenerativeModel(
                self._config.model,
                system_instruction=system or None,
                safety_settings=dict.fromkeys(SAFETY_CATEGORIES, threshold),
            )
        except (KeyError, ValueError):
            raise EngineRejected(f"engine {self._config.name}: the SDK does not take its parameters") from None
        # the SDK would take its process-wide client here; ours has this engine's key and endpoint
        model._client = self._client
        return model

    @cached_property
    def _client(self) -> Any:
        _sdk()
        from google.ai.generativelanguage import GenerativeServiceClient
        from google.api_core.client_options import ClientOptions

        options = ClientOptions(api_key=self._secret.get_secret_value())
        if self._config.endpoint:
            options.api_endpoint = self._config.endpoint
        client: Any = GenerativeServiceClient(transport="rest", client_options=options)
        # an API key cannot be refreshed: without this a 401 would be asked three times
        client.transport._session._max_refresh_attempts = 0
        return client


@cache
def _sdk() -> Any:
    """The SDK, without its notices of retirement: it is a fixed part of the product, behind this adapter."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        import google.generativeai as genai
    return genai


def gemini_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Our JSON Schema in the subset the API takes; what it has no word for goes into the description.

    It knows type, format, description, nullable, enum, items, minItems, maxItems, properties and required. Everything
    is checked again against the full schema when the answer is here.
    """
    found: dict[str, Any] = {key: schema[key] for key in _KEPT_KEYWORDS if key in schema}
    found["type"] = str(schema["type"]).upper()
    if "enum" in schema:
        found["format"] = "enum"
    if "items" in schema:
        found["items"] = gemini_schema(schema["items"])
    if "maxItems" in schema:
        found["max_items"] = schema["maxItems"]
    if "properties" in schema:
        found["properties"] = {key: gemini_schema(value) for key, value in schema["properties"].items()}
    limits = _limits(schema)
    if limits:
        found["description"] = " ".join(filter(None, (found.get("description"), limits)))
    return found


def _limits(schema: Mapping[str, Any]) -> str:
    words = []
    if "minimum" in schema:
        words.append(f"at least {schema['minimum']:g}")
    if "maximum" in schema:
        words.append(f"at most {schema['maximum']:g}")
    if "maxLength" in schema:
        words.append(f"at most {schema['maxLength']} characters")
    if schema.get("format") == "date":
        words.append("a date as YYYY-MM-DD")
    return ", ".join(words)


def _read(response: Any, model: str) -> ModelAnswer:
    """The answer's text. Raises EngineBlocked, EngineAnswerTruncated, EngineAnswerEmpty, each with what came and what
    it is billed for."""
    usage = _usage(response.usage_metadata)
    blocked = response.prompt_feedback.block_reason.name
    if blocked != "BLOCK_REASON_UNSPECIFIED":
        raise EngineBlocked(f"the provider blocked the request: {blocked}", usage=usage)
    if not response.candidates:
        raise EngineAnswerEmpty("the provider answered without a candidate", usage=usage)
    candidate = response.candidates[0]
    reason = candidate.finish_reason.name
    text = "".join(part.text for part in candidate.content.parts if part.text)
    if reason in _WITHHOLDING:
        raise EngineBlocked(f"the provider withheld the answer: {reason}", raw=text or None, usage=usage)
    if reason == "MAX_TOKENS":
        raise EngineAnswerTruncated("the answer reached the output limit", raw=text or None, usage=usage)
    if not text.strip():
        raise EngineAnswerEmpty(f"the answer has no text, finish reason {reason}", usage=usage)
    return ModelAnswer(text=text, model=model, usage=usage)


def _usage(counts: Any) -> Usage:
    prompt, total = counts.prompt_token_count, counts.total_token_count
    output = max(total - prompt, counts.candidates_token_count, 0)
    return Usage(
        input_tokens=prompt,
        output_tokens=output,
        cached_tokens=counts.cached_content_token_count,
        thinking_tokens=max(output - counts.candidates_token_count, 0),
    )


def _typed(error: Exception, engine: str) -> EngineError:
    """The SDK's and its transport's errors in our tree. Provider messages are left out: they may repeat the request."""
    import requests
    from google.api_core import exceptions as google
    from google.auth import exceptions as auth
    from google.protobuf import json_format

    if isinstance(error, TimeoutError | requests.Timeout | google.DeadlineExceeded | google.RetryError):
        return EngineTimeout(f"engine {engine} did not answer in time")
    if isinstance(error, google.GoogleAPICallError):
        return _typed_answer(error, engine)
    if isinstance(error, requests.exceptions.JSONDecodeError | json_format.ParseError | UnicodeDecodeError):
        return EngineAnswerMalformed(f"engine {engine} answered something that is not its API's JSON")
    if isinstance(error, requests.RequestException | auth.TransportError | ConnectionError):
        return EngineUnavailable(f"engine {engine} cannot be reached: {type(error).__name__}")
    if isinstance(error, ValueError | TypeError | auth.GoogleAuthError):
        return EngineRejected(f"the request to engine {engine} could not be built: {type(error).__name__}")
    return EngineUnavailable(f"engine {engine} failed: {type(error).__name__}")


def _typed_answer(error: Any, engine: str) -> EngineError:
    """By the HTTP status the provider answered with."""
    status = int(error.code or 0)
    said = f"engine {engine} answered {status}"
    details = [d for d in (error.details or ()) if isinstance(d, Mapping)]
    if status == 429:
        quota = _quota_ids(details)
        if any("PerDay" in name for name in quota):
            return EngineQuotaExhausted(f"{said}: the daily quota is used up")
        return EngineRateLimited(said, retry_after=_retry_delay(details))
    if status in (408, 504):
        return EngineTimeout(said)
    if 400 <= status < 500:
        return EngineRejected(said)
    return EngineUnavailable(said)


def _quota_ids(details: Iterable[Mapping[str, Any]]) -> list[str]:
    """Ids such as `GenerateRequestsPerDayPerProjectPerModel-FreeTier` of google.rpc.QuotaFailure."""
    return [
        str(violation.get("quotaId", ""))
        for detail in details
        if str(detail.get("@type", "")).endswith("QuotaFailure")
        for violation in detail.get("violations", ())
    ]


def _retry_delay(details: Iterable[Mapping[str, Any]]) -> float | None:
    """Seconds of google.rpc.RetryInfo, whose retryDelay reads `37s` or `1.5s`."""
    for detail in details:
        if str(detail.get("@type", "")).endswith("RetryInfo"):
            try:
                return float(str(detail.get("retryDelay", "")).removesuffix("s"))
            except ValueError:
                return None
    return None
