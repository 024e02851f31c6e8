"""Which certificates are trusted on the way to providers: one context a process, because building it costs more than a
request."""

import functools
import ssl

import httpx


@functools.cache
def trusted() -> ssl.SSLContext:
    return httpx.create_ssl_context()
