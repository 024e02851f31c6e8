"""OpenAI's official SDK as the adapters use it: loaded on first use, without its retries, its failures in our tree."""

from functools import cache
from typing import Any

from domain.errors import EngineAnswerMalformed, EngineError, EngineRejected, EngineTimeout, EngineUnavailable
from engines.provider_errors import error_of_status
from engines.trust import trusted

ADDRESS = "https://api.openai.com/v1"


@cache
def load_sdk() -> Any:
    import openai

    return openai


def connect(sdk: Any, endpoint: str | None, key: str, *, azure_version: str | None = None) -> Any:
    """A client with its own retries off, that follows no redirects (the key would go along) and takes nothing from
    the process's environment."""
    http = sdk.DefaultAsyncHttpxClient(follow_redirects=False, verify=trusted())
    if azure_version is None:
        client = sdk.AsyncOpenAI(api_key=key, base_url=endpoint or ADDRESS, max_retries=0, http_client=http)
    else:
        client = sdk.AsyncAzureOpenAI(
            api_key=key, azure_endpoint=endpoint, api_version=azure_version, max_retries=0, http_client=http
        )
    client.organization = client.project = None
    return client


def typed_error(error: Exception, engine: str) -> EngineError:
    """The SDK's errors in our tree. Provider messages are left out: they may repeat the request."""
    sdk = load_sdk()
    if isinstance(error, sdk.APITimeoutError):
        return EngineTimeout(f"engine {engine} did not answer in time")
    if isinstance(error, sdk.APIStatusError):
        headers, codes = dict(error.response.headers), (error.code, error.type)
        return error_of_status(f"engine {engine}", error.status_code, headers=headers, codes=codes)
    if isinstance(error, sdk.APIConnectionError):
        return EngineUnavailable(f"engine {engine} cannot be reached: {type(error.__cause__ or error).__name__}")
    if isinstance(error, sdk.APIResponseValidationError | ValueError | UnicodeError):
        return EngineAnswerMalformed(f"engine {engine} answered something that is not its API's JSON")
    if isinstance(error, sdk.OpenAIError | TypeError):
        return EngineRejected(f"the request to engine {engine} could not be built: {type(error).__name__}")
    return EngineUnavailable(f"engine {engine} failed: {type(error).__name__}")
