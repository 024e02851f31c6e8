"""Anthropic's Claude through the official SDK: one request, one JSON answer, every failure by its name.

The answer is asked for as the input of a tool whose schema is ours, which every model takes, or as a formatted output
(`answer_as = "format"`), which models that think need. The SDK's retries are off: retries are the orchestration's.
"""

import asyncio
import json
import time
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from domain.engine import EngineConfig, Usage
from domain.errors import (
    EngineAnswerEmpty,
    EngineAnswerMalformed,
    EngineAnswerTruncated,
    EngineError,
    EngineRefused,
    EngineRejected,
    EngineTimeout,
    EngineUnavailable,
)
from engines.language_models.layout import conversation_text, task_text
from engines.language_models.structured import strict_schema, without_nulls
from engines.parameters import EngineParameters, parameters_of
from engines.protocols import AnswerRequest, ModelAnswer, Progress
from engines.provider_errors import error_of_status
from engines.trust import trusted

ADDRESS = "https://api.anthropic.com"
TEST_SECONDS = 30.0
TEST_TOKENS = 64
TOOL = "answer"

_UNKNOWN_TO_FORMATS = ("minimum", "maximum", "maxItems", "minItems")
_CUT_OFF = ("max_tokens", "model_context_window_exceeded")


class AnthropicParameters(EngineParameters):
    """`parameters` of an engine of kind `anthropic`.

    answer_as: see the module; cache: when the conversation is marked for the provider's cache, whose writing costs a
    quarter more and whose reading a tenth: only where a request says that others share it, always, or never;
    thinking_budget: tokens to think in, on top of the answer's own.
    """

    answer_as: Literal["tool", "format"] = "tool"
    cache: Literal["shared", "always", "never"] = "shared"
    temperature: float | None = Field(default=0.0, ge=0, le=1)
    thinking_budget: int | None = Field(default=None, ge=1024, le=200_000)
    service_tier: Literal["auto", "standard_only"] | None = None


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Block(_Part):
    type: str
    text: str | None = None
    name: str | None = None
    input: Any = None


class _OutputDetails(_Part):
    thinking_tokens: int | None = None


class _Counts(_Part):
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    output_tokens_details: _OutputDetails | None = None


class _Message(_Part):
    """The part of an answer that is read here: the SDK itself checks nothing."""

    model: str = ""
    content: tuple[_Block, ...]
    stop_reason: str | None = None
    usage: _Counts = _Counts()


class AnthropicEngine:
    """Fulfils `engines.protocols.LanguageModelEngine`."""

    def __init__(self, config: EngineConfig, secret: SecretStr | None) -> None:
        """Raises EngineRejected without an API key, or for parameters that are not valid."""
        self._parameters = parameters_of(AnthropicParameters, config)
        if secret is None or not secret.get_secret_value():
            raise EngineRejected(f"engine {config.name} needs an API key: its credentials lead to none")
        self._config = config
        self._secret = secret
        self._as_tool = self._parameters.answer_as == "tool" and self._parameters.thinking_budget is None
        self._client: Any = None

    async def answer(self, request: AnswerRequest, progress: Progress) -> ModelAnswer:
        progress(0.0)
        found = await self._send(self._body(request), request.timeout_seconds)
        answer = _read(found, self._config)
        if not self._as_tool:
            text = without_nulls(answer.text, request.schema)
            answer = ModelAnswer(text=text, model=answer.model, usage=answer.usage)
        progress(1.0)
        return answer

    async def test(self) -> str:
        began = time.monotonic()
        messages = [{"role": "user", "content": "Answer with the one word: ready"}]
        body = {"model": self._config.model, "max_tokens": TEST_TOKENS, "messages": messages}
        answer = _read(await self._send(body, TEST_SECONDS), self._config)
        took = round((time.monotonic() - began) * 1000)
        return f"{answer.model} answered in {took} ms, {answer.usage.input_tokens + answer.usage.output_tokens} tokens"

    def _body(self, request: AnswerRequest) -> dict[str, Any]:
        given = self._parameters
        conversation: dict[str, Any] = {"type": "text", "text": conversation_text(request.turns)}
        if given.cache == "always" or (given.cache == "shared" and request.prefix_shared):
            conversation["cache_control"] = {"type": "ephemeral"}
        asked = {"type": "text", "text": task_text(request)}
        body: dict[str, Any] = {
            "model": self._config.model,
            "max_tokens": request.max_output_tokens + (given.thinking_budget or 0),
            "messages": [{"role": "user", "content": [conversation, asked]}],
        }
        if request.system:
            body["system"] = request.system
        if self._as_tool:
            tool = {"name": TOOL, "description": "Hands the answer in.", "input_schema": dict(request.schema)}
            body |= {"tools": [tool], "tool_choice": {"type": "tool", "name": TOOL}}
        else:
            body["output_config"] = {"format": {"type": "json_schema", "schema": _format_schema(request.schema)}}
        if given.thinking_budget is not None:
            body["thinking"] = {"type": "enabled", "budget_tokens": given.thinking_budget}
        elif given.temperature is not None:
            # The SDK no longer names it, because newer models do not take it: `temperature: null` leaves it out.
            body["extra_body"] = {"temperature": given.temperature}
        if given.service_tier is not None:
            body["service_tier"] = given.service_tier
        return body

    async def _send(self, body: dict[str, Any], seconds: float) -> Any:
        name = self._config.name
        client = await self._connected()
        try:
            async with asyncio.timeout(seconds):
                return await client.messages.create(**body, timeout=seconds)
        except TimeoutError:
            raise EngineTimeout(f"engine {name} did not answer within {seconds:.0f} s") from None
        except Exception as error:
            raise _typed(error, name) from None

    async def _connected(self) -> Any:
        """The SDK's client, made in the running loop with the first request: loading the SDK takes a second. Address
        and key are given, so nothing is taken from the process's environment; redirects are not followed, because the
        key would go along."""
        if self._client is None:
            sdk = await asyncio.to_thread(_sdk)
            self._client = sdk.AsyncAnthropic(
                api_key=self._secret.get_secret_value(),
                base_url=self._config.endpoint or ADDRESS,
                max_retries=0,
                http_client=sdk.DefaultAsyncHttpxClient(follow_redirects=False, verify=trusted()),
            )
        return self._client


@cache
def _sdk() -> Any:
    import anthropic

    return anthropic


def _format_schema(schema: Any) -> dict[str, Any]:
    """The schema as formatted outputs take it: strict, and without limits on numbers and lists."""

    def bare(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: bare(value) for key, value in node.items() if key not in _UNKNOWN_TO_FORMATS}
        return [bare(item) for item in node] if isinstance(node, list) else node

    found: dict[str, Any] = bare(strict_schema(schema))
    return found


def _read(found: Any, config: EngineConfig) -> ModelAnswer:
    """Raises EngineRefused, EngineAnswerTruncated, EngineAnswerEmpty, EngineAnswerMalformed."""
    try:
        content = found.model_dump(warnings=False) if isinstance(found, BaseModel) else found
        message = _Message.model_validate(content)
    except (ValidationError, ValueError, TypeError):
        raise EngineAnswerMalformed(f"engine {config.name} answered something that is not its API's JSON") from None
    usage = _usage(message.usage)
    handed_in = next((b.input for b in message.content if b.type == "tool_use" and b.name == TOOL), None)
    text = "".join(b.text or "" for b in message.content if b.type == "text")
    if handed_in is not None:
        text = json.dumps(handed_in, ensure_ascii=False)
    if message.stop_reason == "refusal":
        raise EngineRefused("the model refused to answer", raw=text or None, usage=usage)
    if message.stop_reason in _CUT_OFF:
        raise EngineAnswerTruncated("the answer reached the output limit", raw=text or None, usage=usage)
    if not text.strip():
        raise EngineAnswerEmpty("the answer has no text", usage=usage)
    return ModelAnswer(text=text, model=message.model or config.model, usage=usage)


def _usage(counts: _Counts) -> Usage:
    """The API counts what it reads from and writes to its cache beside the input, here it is part of it."""
    read, written = counts.cache_read_input_tokens or 0, counts.cache_creation_input_tokens or 0
    thought = counts.output_tokens_details.thinking_tokens if counts.output_tokens_details else None
    return Usage(
        input_tokens=counts.input_tokens + read + written,
        output_tokens=counts.output_tokens,
        cached_tokens=read,
        cache_write_tokens=written,
        thinking_tokens=thought or 0,
    )


def _typed(error: Exception, engine: str) -> EngineError:
    """The SDK's errors in our tree. Provider messages are left out: they may repeat the request."""
    sdk = _sdk()
    if isinstance(error, sdk.APITimeoutError):
        return EngineTimeout(f"engine {engine} did not answer in time")
    if isinstance(error, sdk.APIStatusError):
        headers, codes = dict(error.response.headers), (error.error_code, error.type)
        return error_of_status(f"engine {engine}", error.status_code, headers=headers, codes=codes)
    if isinstance(error, sdk.APIConnectionError):
        return EngineUnavailable(f"engine {engine} cannot be reached: {type(error.__cause__ or error).__name__}")
    if isinstance(error, sdk.APIResponseValidationError | ValueError | UnicodeError):
        return EngineAnswerMalformed(f"engine {engine} answered something that is not its API's JSON")
    if isinstance(error, sdk.AnthropicError | TypeError):
        return EngineRejected(f"the request to engine {engine} could not be built: {type(error).__name__}")
    return EngineUnavailable(f"engine {engine} failed: {type(error).__name__}")
