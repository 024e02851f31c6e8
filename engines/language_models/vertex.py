"""Gemini through google-genai: Vertex AI with a service account, or the Gemini API with a key; models that think.

Which of the two it is follows from the credential: a service account's JSON means Vertex AI in the engine's region,
anything else is a key of the Gemini API. The SDK's own retries are off, and it takes nothing from the environment.
"""

import asyncio
import json
import time
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Literal

import httpx
from pydantic import Field, SecretStr, ValidationError

from domain.engine import EngineConfig, Usage
from domain.errors import (
    EngineAnswerEmpty,
    EngineAnswerMalformed,
    EngineAnswerTruncated,
    EngineBlocked,
    EngineError,
    EngineQuotaExhausted,
    EngineRejected,
    EngineTimeout,
    EngineUnavailable,
)
from domain.fields import Owner
from engines.language_models.layout import conversation_text, task_text
from engines.parameters import EngineParameters, parameters_of
from engines.protocols import AnswerRequest, ModelAnswer, Progress
from engines.provider_errors import error_of_status, seconds_of
from engines.trust import trusted

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
TOKEN_ADDRESS = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
DEFAULT_REGION = "global"
TEST_SECONDS = 30.0
TEST_TOKENS = 1024
ROOM_TO_THINK = 8192

SAFETY_CATEGORIES = ("HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT")
_WITHHOLDING = frozenset(
    {"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE", "IMAGE_SAFETY", "MODEL_ARMOR"}
)
_NOT_TAKEN = ("minLength", "maxLength")


class VertexParameters(EngineParameters):
    """`parameters` of an engine of kind `vertex`.

    project: of Google Cloud, the service account's own unless given; application_default: use the process's own
    identity on Google Cloud, for the operator's engines only; thinking_budget: tokens to think in, 0 for none, None as
    the model likes; safety: the threshold of blocking, high because angry customers swear, and the provider's default
    would refuse conversations that have to be understood.
    """

    project: str | None = Field(default=None, max_length=100)
    application_default: bool = False
    temperature: float | None = Field(default=0.0, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=1)
    seed: int | None = None
    thinking_budget: int | None = Field(default=None, ge=0, le=200_000)
    thinking_level: Literal["minimal", "low", "medium", "high"] | None = None
    safety: Literal["BLOCK_NONE", "OFF", "BLOCK_ONLY_HIGH", "BLOCK_MEDIUM_AND_ABOVE", "BLOCK_LOW_AND_ABOVE"] = (
        "BLOCK_ONLY_HIGH"
    )


class VertexEngine:
    """Fulfils `engines.protocols.LanguageModelEngine`."""

    def __init__(self, config: EngineConfig, secret: SecretStr | None) -> None:
        """Raises EngineRejected without a credential, for one that is damaged, or parameters that are not valid."""
        self._parameters = parameters_of(VertexParameters, config)
        self._config = config
        self._secret = secret.get_secret_value() if secret is not None else ""
        own = self._parameters.application_default and config.owner is Owner.OPERATOR
        if not self._secret and not own:
            raise EngineRejected(f"engine {config.name} needs a key or a service account: its credentials lead to none")
        self._account = _service_account(config, self._secret)
        self._client: Any = None

    async def answer(self, request: AnswerRequest, progress: Progress) -> ModelAnswer:
        progress(0.0)
        texts = [conversation_text(request.turns), task_text(request)]
        wanted = {
            "system_instruction": request.system or None,
            "response_mime_type": "application/json",
            "response_json_schema": _taken(request.schema),
            **self._options(request.max_output_tokens),
        }
        found = await self._send(texts, wanted, request.timeout_seconds)
        answer = _read(found, self._config)
        progress(1.0)
        return answer

    async def test(self) -> str:
        began = time.monotonic()
        found = await self._send(["Answer with the one word: ready"], self._options(TEST_TOKENS), TEST_SECONDS)
        answer = _read(found, self._config)
        took = round((time.monotonic() - began) * 1000)
        return f"{answer.model} answered in {took} ms, {answer.usage.input_tokens + answer.usage.output_tokens} tokens"

    def _options(self, max_output_tokens: int) -> dict[str, Any]:
        given = self._parameters
        room = ROOM_TO_THINK if given.thinking_budget is None else given.thinking_budget
        options: dict[str, Any] = {
            "candidate_count": 1,
            # thoughts count against the limit
            "max_output_tokens": max_output_tokens + room,
            "safety_settings": [
                {"category": f"HARM_CATEGORY_{name}", "threshold": given.safety} for name in SAFETY_CATEGORIES
            ],
        }
        for name in ("temperature", "top_p", "top_k", "seed"):
            if getattr(given, name) is not None:
                options[name] = getattr(given, name)
        thinking = {"thinking_budget": given.thinking_budget, "thinking_level": given.thinking_level}
        thinking = {name: value for name, value in thinking.items() if value is not None}
        if thinking:
            options["thinking_config"] = thinking
        return options

    async def _send(self, texts: Iterable[str], wanted: Mapping[str, Any], seconds: float) -> Any:
        name = self._config.name
        contents = [{"role": "user", "parts": [{"text": text} for text in texts]}]
        config = {**wanted, "http_options": {"timeout": round(seconds * 1000)}}
        client = await self._connected()
        try:
            async with asyncio.timeout(seconds):
                return await client.aio.models.generate_content(
                    model=self._config.model, contents=contents, config=config
                )
        except TimeoutError:
            raise EngineTimeout(f"engine {name} did not answer within {seconds:.0f} s") from None
        except Exception as error:
            raise _typed(error, name) from None

    async def _connected(self) -> Any:
        """The SDK's client, made with the first request: loading the SDK takes a second."""
        if self._client is None:
            self._client = await asyncio.to_thread(self._connect)
        return self._client

    def _connect(self) -> Any:
        genai = _sdk()
        options = genai.types.HttpOptions(
            base_url=self._config.endpoint,
            # one attempt; redirects are not followed, because the credential would go along
            retry_options=genai.types.HttpRetryOptions(attempts=1),
            httpx_client=httpx.Client(follow_redirects=False, verify=trusted()),
            httpx_async_client=httpx.AsyncClient(follow_redirects=False, verify=trusted()),
        )
        if self._secret and self._account is None:
            return genai.Client(vertexai=False, api_key=self._secret, http_options=options)
        credentials = None
        project = self._parameters.project
        if self._account is not None:
            from google.oauth2 import service_account

            credentials = service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
                self._account, scopes=[SCOPE]
            )
            project = project or self._account.get("project_id")
        return genai.Client(
            vertexai=True,
            credentials=credentials,
            project=project,
            location=self._config.region or DEFAULT_REGION,
            http_options=options,
        )


@cache
def _sdk() -> Any:
    from google import genai

    return genai


def _service_account(config: EngineConfig, secret: str) -> dict[str, Any] | None:
    """The account's JSON, None when the secret is a key. Only the operator's own may name where tokens come from:
    anybody else's would have this process call any address."""
    if not secret.startswith("{"):
        return None
    try:
        account = json.loads(secret)
        missing = [name for name in ("client_email", "private_key") if not isinstance(account.get(name), str)]
    except ValueError:
        raise EngineRejected(f"engine {config.name}: its service account is not JSON") from None
    if missing:
        raise EngineRejected(f"engine {config.name}: its service account lacks {', '.join(missing)}")
    if config.owner is not Owner.OPERATOR or not account.get("token_uri"):
        account["token_uri"] = TOKEN_ADDRESS
    return dict(account)


def _taken(schema: Any) -> Any:
    """The schema without the keywords the API does not take; the full one is checked when the answer is here."""
    if isinstance(schema, Mapping):
        return {key: _taken(value) for key, value in schema.items() if key not in _NOT_TAKEN}
    return [_taken(item) for item in schema] if isinstance(schema, list) else schema


def _read(found: Any, config: EngineConfig) -> ModelAnswer:
    """Raises EngineBlocked, EngineAnswerTruncated, EngineAnswerEmpty, EngineAnswerMalformed."""
    usage = _usage(found.usage_metadata)
    feedback = found.prompt_feedback
    if feedback is not None and _word(feedback.block_reason) not in ("", "BLOCKED_REASON_UNSPECIFIED"):
        raise EngineBlocked(f"the provider blocked the request: {_word(feedback.block_reason)}", usage=usage)
    if not found.candidates:
        if feedback is None and found.usage_metadata is None:
            raise EngineAnswerMalformed(f"engine {config.name} answered something that is not its API's JSON")
        raise EngineAnswerEmpty("the provider answered without a candidate", usage=usage)
    candidate = found.candidates[0]
    reason = _word(candidate.finish_reason)
    parts = candidate.content.parts if candidate.content is not None else None
    text = "".join(part.text for part in parts or () if part.text and not part.thought)
    if reason in _WITHHOLDING:
        raise EngineBlocked(f"the provider withheld the answer: {reason}", raw=text or None, usage=usage)
    if reason == "MAX_TOKENS":
        raise EngineAnswerTruncated("the answer reached the output limit", raw=text or None, usage=usage)
    if not text.strip():
        raise EngineAnswerEmpty(f"the answer has no text, finish reason {reason or 'none'}", usage=usage)
    return ModelAnswer(text=text, model=found.model_version or config.model, usage=usage)


def _word(value: Any) -> str:
    word = getattr(value, "value", value)
    return word if isinstance(word, str) and word.isupper() else ""


def _usage(counts: Any) -> Usage:
    """Thoughts are counted beside the candidates and billed like them."""
    if counts is None:
        return Usage()
    thought = counts.thoughts_token_count or 0
    return Usage(
        input_tokens=counts.prompt_token_count or 0,
        output_tokens=(counts.candidates_token_count or 0) + thought,
        cached_tokens=counts.cached_content_token_count or 0,
        thinking_tokens=thought,
    )


def _typed(error: Exception, engine: str) -> EngineError:
    """The SDK's and its transport's errors in our tree. Provider messages are left out: they may repeat the request."""
    from google.auth import exceptions as auth
    from google.genai import errors

    if isinstance(error, errors.APIError):
        return _typed_answer(error, engine)
    named = type(error).__name__
    ours: EngineError = EngineUnavailable(f"engine {engine} cannot be reached: {named}")
    if isinstance(error, httpx.TimeoutException):
        ours = EngineTimeout(f"engine {engine} did not answer in time")
    elif isinstance(error, errors.UnknownApiResponseError | ValidationError | json.JSONDecodeError | UnicodeError):
        ours = EngineAnswerMalformed(f"engine {engine} answered something that is not its API's JSON")
    elif isinstance(error, auth.GoogleAuthError) and not isinstance(error, auth.TransportError):
        ours = EngineRejected(f"engine {engine}: its service account gets no token")
    elif isinstance(error, ValueError | TypeError):
        ours = EngineRejected(f"the request to engine {engine} could not be built: {named}")
    return ours


def _typed_answer(error: Any, engine: str) -> EngineError:
    """By the HTTP status the provider answered with, and Google's details beside it."""
    status = int(error.code or 0)
    body = error.details if isinstance(error.details, Mapping) else {}
    told = body.get("error", body)
    details = [d for d in (told.get("details") or () if isinstance(told, Mapping) else ()) if isinstance(d, Mapping)]
    if status == 429 and any("PerDay" in name for name in _quota_ids(details)):
        return EngineQuotaExhausted(f"engine {engine} answered 429: the daily quota is used up")
    wait = next((seconds_of(d.get("retryDelay")) for d in details if "retryDelay" in d), None)
    headers = dict(getattr(error.response, "headers", None) or {})
    return error_of_status(f"engine {engine}", status, headers=headers, codes=(error.status,), wait=wait)


def _quota_ids(details: Iterable[Mapping[str, Any]]) -> list[str]:
    """Ids such as `GenerateRequestsPerDayPerProjectPerModel-FreeTier` of google.rpc.QuotaFailure."""
    return [
        str(violation.get("quotaId", ""))
        for detail in details
        for violation in detail.get("violations") or ()
        if isinstance(violation, Mapping)
    ]
