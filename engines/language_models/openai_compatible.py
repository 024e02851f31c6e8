"""Everything that speaks OpenAI's chat completions: OpenAI, Azure OpenAI, vLLM, Ollama, llama.cpp, gateways.

One request, one JSON answer, through the official SDK with its own retries off. A server that refuses a JSON Schema is
asked again with less (a plain JSON object, then nothing), and remembered: the form is then said in words. The SDK's
settings from the process's environment are not used: several tenants' keys and addresses live in one process.
"""

import asyncio
import time
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from domain.engine import EngineConfig, Usage
from domain.errors import (
    EngineAnswerEmpty,
    EngineAnswerMalformed,
    EngineAnswerTruncated,
    EngineBlocked,
    EngineError,
    EngineRefused,
    EngineRejected,
    EngineTimeout,
)
from engines.language_models.layout import conversation_text, task_text
from engines.language_models.structured import form_text, strict_schema, without_nulls
from engines.openai_sdk import connect, load_sdk, typed_error
from engines.parameters import EngineParameters, parameters_of
from engines.protocols import AnswerRequest, ModelAnswer, Progress

TEST_SECONDS = 30.0
TEST_TOKENS = 256
ROOM_TO_THINK = 8192

_FORM_REFUSED = (400, 404, 415, 422, 501)
_FORM_WORDS = ("response_format", "json_schema", "json_object", "schema", "structured output", "guided")


class Form(StrEnum):
    """How the answer's form is asked for, from the firmest to the loosest."""

    SCHEMA = "json_schema"
    OBJECT = "json_object"
    TEXT = "text"


class OpenAIParameters(EngineParameters):
    """`parameters` of an engine of kind `openai_compatible`.

    api_version: makes it Azure OpenAI, whose `endpoint` is the resource's address and whose `model` is the name of the
    deployment; response_format: where to begin, servers that refuse it are asked with less; strict: OpenAI's strict
    form of a schema, None for where it is known (OpenAI, Azure); output_limit: what the limit of the answer is called;
    temperature None: the model's own, which models that think ask for; thinking_room: tokens to think in, on top of the
    answer's own, because their limit counts both.
    """

    api_version: str | None = Field(default=None, pattern=r"^[0-9a-z.-]{1,40}$")
    response_format: Form = Form.SCHEMA
    strict: bool | None = None
    output_limit: Literal["max_tokens", "max_completion_tokens"] | None = None
    temperature: float | None = Field(default=0.0, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    seed: int | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    thinking_room: int | None = Field(default=None, ge=0, le=200_000)
    service_tier: Literal["auto", "default", "flex", "priority"] | None = None

    @property
    def thinks(self) -> bool:
        return self.reasoning_effort not in (None, "none")

    @property
    def room(self) -> int:
        """Tokens to think in."""
        return (ROOM_TO_THINK if self.thinks else 0) if self.thinking_room is None else self.thinking_room


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Message(_Part):
    content: str | None = None
    refusal: str | None = None


class _Choice(_Part):
    message: _Message
    finish_reason: str | None = None


class _PromptDetails(_Part):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _CompletionDetails(_Part):
    reasoning_tokens: int | None = None


class _Counts(_Part):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None


class _Completion(_Part):
    """The part of an answer that is read here: the SDK itself checks nothing."""

    model: str = ""
    choices: tuple[_Choice, ...]
    usage: _Counts | None = None


class OpenAICompatibleEngine:
    """Fulfils `engines.protocols.LanguageModelEngine`."""

    def __init__(self, config: EngineConfig, secret: SecretStr | None) -> None:
        """Raises EngineRejected for parameters that are not valid, or where a key is needed and there is none: a
        server of one's own (`endpoint` without `credentials`) may need none."""
        self._parameters = parameters_of(OpenAIParameters, config)
        key = secret.get_secret_value() if secret is not None else ""
        if not key and (config.endpoint is None or config.credentials is not None or self._parameters.api_version):
            raise EngineRejected(f"engine {config.name} needs an API key: its credentials lead to none")
        if self._parameters.api_version and config.endpoint is None:
            raise EngineRejected(f"engine {config.name}: Azure needs the address of the resource as its endpoint")
        self._config = config
        self._secret = SecretStr(key or "none")
        self._form = self._parameters.response_format
        self._hosted = config.endpoint is None or self._parameters.api_version is not None
        self._client: Any = None

    async def answer(self, request: AnswerRequest, progress: Progress) -> ModelAnswer:
        progress(0.0)
        answer = await self._in_some_form(request)
        progress(1.0)
        return answer

    async def test(self) -> str:
        began = time.monotonic()
        messages = [{"role": "user", "content": "Answer with the one word: ready"}]
        found = await self._send({"messages": messages, **self._options(TEST_TOKENS)}, TEST_SECONDS)
        took = round((time.monotonic() - began) * 1000)
        answer = _read(found, self._config, requests=1)
        return f"{answer.model} answered in {took} ms, {answer.usage.input_tokens + answer.usage.output_tokens} tokens"

    async def _in_some_form(self, request: AnswerRequest) -> ModelAnswer:
        """Asks in the firmest form the server takes; all tries share the request's time."""
        until = time.monotonic() + request.timeout_seconds
        forms = list(Form)
        for tries in range(1, len(forms) + 1):
            form = self._form
            try:
                found = await self._send(self._body(request, form), until - time.monotonic())
            except _FormRefused as refused:
                if form is Form.TEXT:
                    raise refused.error from None
                if self._form is form:  # nobody else has found out meanwhile
                    self._form = forms[forms.index(form) + 1]
                continue
            answer = _read(found, self._config, requests=tries)
            if form is Form.SCHEMA and self._strict:
                text = without_nulls(answer.text, request.schema)
                return ModelAnswer(text=text, model=answer.model, usage=answer.usage)
            return answer
        raise EngineRejected(f"engine {self._config.name} takes no form of answer there is")

    @property
    def _strict(self) -> bool:
        return self._hosted if self._parameters.strict is None else self._parameters.strict

    def _body(self, request: AnswerRequest, form: Form) -> dict[str, Any]:
        asked = task_text(request)
        body: dict[str, Any] = {}
        if form is Form.SCHEMA:
            schema = strict_schema(request.schema) if self._strict else dict(request.schema)
            named = {"name": "answer", "schema": schema, **({"strict": True} if self._strict else {})}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        else:
            asked = f"{asked}\n\n{form_text(request.schema)}"
            if form is Form.OBJECT:
                body["response_format"] = {"type": "json_object"}
        # One message: what all tasks share comes first and byte for byte the same.
        messages = [{"role": "user", "content": conversation_text(request.turns) + asked}]
        if request.system:
            messages.insert(0, {"role": "system", "content": request.system})
        return {**body, "messages": messages, **self._options(request.max_output_tokens)}

    def _options(self, max_output_tokens: int) -> dict[str, Any]:
        given = self._parameters
        limit = given.output_limit or ("max_completion_tokens" if self._hosted else "max_tokens")
        options: dict[str, Any] = {"model": self._config.model, limit: max_output_tokens + given.room}
        for name in ("top_p", "presence_penalty", "frequency_penalty", "seed", "reasoning_effort", "service_tier"):
            if getattr(given, name) is not None:
                options[name] = getattr(given, name)
        if given.temperature is not None and not given.thinks:
            options["temperature"] = given.temperature
        return options

    async def _send(self, body: Mapping[str, Any], seconds: float) -> Any:
        """The SDK's answer. Raises EngineErrors, and _FormRefused when the server takes no such `response_format`."""
        name = self._config.name
        client = await self._connected()
        try:
            async with asyncio.timeout(seconds):
                return await client.chat.completions.create(**body, timeout=max(seconds, 0.001))
        except TimeoutError:
            raise EngineTimeout(f"engine {name} did not answer within {max(seconds, 0):.0f} s") from None
        except Exception as error:
            typed = typed_error(error, name)
            if "response_format" in body and _refuses_the_form(error):
                raise _FormRefused(typed) from None
            raise typed from None

    async def _connected(self) -> Any:
        """The SDK's client, made in the running loop with the first request: loading the SDK takes a second."""
        if self._client is None:
            sdk = await asyncio.to_thread(load_sdk)
            key, version = self._secret.get_secret_value(), self._parameters.api_version
            self._client = connect(sdk, self._config.endpoint, key, azure_version=version)
        return self._client


class _FormRefused(Exception):
    """The server takes no such `response_format`; `error` is what that is when nothing else is left to try."""

    def __init__(self, error: EngineError) -> None:
        super().__init__(error.code)
        self.error = error


def _read(found: Any, config: EngineConfig, *, requests: int) -> ModelAnswer:
    """Raises EngineBlocked, EngineRefused, EngineAnswerTruncated, EngineAnswerEmpty, EngineAnswerMalformed."""
    try:
        content = found.model_dump(warnings=False) if isinstance(found, BaseModel) else found
        completion = _Completion.model_validate(content)
    except (ValidationError, ValueError, TypeError):
        raise EngineAnswerMalformed(f"engine {config.name} answered something that is not its API's JSON") from None
    usage = _usage(completion.usage, requests)
    if not completion.choices:
        raise EngineAnswerEmpty("the provider answered without a choice", usage=usage)
    choice = completion.choices[0]
    text = choice.message.content or ""
    if choice.finish_reason == "content_filter":
        raise EngineBlocked("the provider's filter withheld the answer", raw=text or None, usage=usage)
    if choice.message.refusal:
        raise EngineRefused("the model refused to answer", raw=choice.message.refusal, usage=usage)
    if choice.finish_reason == "length":
        raise EngineAnswerTruncated("the answer reached the output limit", raw=text or None, usage=usage)
    if not text.strip():
        raise EngineAnswerEmpty("the answer has no text", usage=usage)
    return ModelAnswer(text=text, model=completion.model or config.model, usage=usage)


def _usage(counts: _Counts | None, requests: int) -> Usage:
    """Output tokens hold those of thinking, as the provider bills them."""
    counts = counts or _Counts()
    prompt, output = counts.prompt_tokens_details, counts.completion_tokens_details
    return Usage(
        requests=requests,
        input_tokens=counts.prompt_tokens,
        output_tokens=counts.completion_tokens,
        cached_tokens=(prompt.cached_tokens if prompt else None) or 0,
        cache_write_tokens=(prompt.cache_write_tokens if prompt else None) or 0,
        thinking_tokens=(output.reasoning_tokens if output else None) or 0,
    )


def _refuses_the_form(error: Exception) -> bool:
    """Whether a refusal is about the form of the answer: the only thing its words are read for."""
    if not isinstance(error, load_sdk().APIStatusError) or error.status_code not in _FORM_REFUSED:
        return False
    if error.code in ("context_length_exceeded", "model_not_found", "content_filter"):
        return False
    said = f"{error.param} {error.message}".lower()
    return any(word in said for word in _FORM_WORDS)
