"""Fetches audio a connector gave by address. Only hosts the operator listed, never a private address, never more than
the cap: an address is a caller's input."""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Collection

import httpx

from domain.errors import ContentMissing, InvalidInput, TooLarge, Unavailable, UndecodableContent
from engines.protocols import Progress
from storage.protocols import ContentStore


def check_address(url: str, allowed_hosts: Collection[str]) -> None:
    """Raises InvalidInput when the address may not be pulled from. `*.example.com` allows subdomains."""
    host = httpx.URL(url).host.lower()
    for allowed in allowed_hosts:
        pattern = allowed.lower()
        if host == pattern or (pattern.startswith("*.") and host.endswith(pattern[1:])):
            return
    raise InvalidInput.of("audio.url", "the operator has not listed this host for pulling audio")


class AudioPuller:
    """Streams an address into the content store. `allow_private` is for tests and on-premises recorders."""

    def __init__(
        self,
        content: ContentStore,
        *,
        allowed_hosts: Collection[str],
        max_bytes: int,
        allow_private: bool = False,
        timeout_seconds: float = 30.0,
    ) -> None:
        self._content = content
        self._allowed_hosts = frozenset(allowed_hosts)
        self._max_bytes = max_bytes
        self._allow_private = allow_private
        self._timeout = timeout_seconds

    async def pull(self, tenant_id: str, url: str, key: str, progress: Progress) -> None:
        """Raises UndecodableContent (the address will not work), Unavailable (it may later), TooLarge."""
        try:
            check_address(url, self._allowed_hosts)
        except InvalidInput as error:
            raise UndecodableContent(error.message) from None
        await self._require_public(httpx.URL(url))
        try:
            async with (
                httpx.AsyncClient(timeout=self._timeout, follow_redirects=False) as client,
                client.stream("GET", url) as response,
            ):
                if response.status_code >= 500 or response.status_code == 429:
                    raise Unavailable(f"the audio's host answered {response.status_code}")
                if response.status_code != 200:
                    raise ContentMissing(f"the audio's host answered {response.status_code}")
                await self._content.put_stream(tenant_id, key, self._chunks(response, progress), limit=self._max_bytes)
        except httpx.HTTPError as error:
            raise Unavailable(f"pulling the audio failed: {type(error).__name__}") from None
        except TooLarge as error:
            raise UndecodableContent(error.message) from None

    async def _chunks(self, response: httpx.Response, progress: Progress) -> AsyncIterator[bytes]:
        expected = int(response.headers.get("content-length", 0)) or self._max_bytes
        received = 0
        async for chunk in response.aiter_bytes(1 << 20):
            received += len(chunk)
            progress(min(1.0, received / expected))
            yield chunk

    async def _require_public(self, url: httpx.URL) -> None:
        if self._allow_private:
            return
        try:
            found = await asyncio.to_thread(socket.getaddrinfo, url.host, url.port or 443)
        except OSError:
            raise Unavailable("the audio's host does not resolve") from None
        if not all(ipaddress.ip_address(info[4][0]).is_global for info in found):
            raise UndecodableContent("the audio's host is a private address")
