"""A connector as it should be: it hands in over HTTP, and asks again with the same Idempotency-Key until it knows."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from pydantic import SecretStr

ANSWER_SECONDS = 30.0
"""How long one request is waited for; then it is sent again."""


@dataclass(frozen=True)
class Accepted:
    """What the service said in the end: status, answer, and after how many tries."""

    status: int
    answer: dict[str, Any]
    tries: int

    @property
    def id(self) -> str:
        return str(self.answer["id"])


@dataclass
class Connector:
    """Several senders of one tenant. `refused` counts what the tries before the last ended in: a status, or the name
    of a broken connection."""

    url: str
    key: SecretStr
    tenant_id: str
    seconds: float = 300.0
    senders: int = 4
    refused: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        headers = {"Authorization": f"Bearer {self.key.get_secret_value()}", "Parley-Tenant": self.tenant_id}
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=ANSWER_SECONDS, trust_env=False)
        self._lock = threading.Lock()

    def hand_in(self, body: dict[str, Any]) -> Accepted:
        """Raises AssertionError when the service refuses for good, or does not take it in time."""
        until, tries, pause = time.monotonic() + self.seconds, 0, 0.2
        while True:
            tries += 1
            told, answer = self._post(body)
            if answer is not None and answer.is_success:
                return Accepted(answer.status_code, answer.json(), tries)
            again = answer is None or answer.json().get("retryable", False)
            assert again, f"{told}: {answer.text if answer is not None else ''}"
            assert time.monotonic() < until, f"not accepted in time: {told} after {tries} tries"
            with self._lock:
                self.refused[told] += 1
            time.sleep(pause)
            pause = min(2.0, pause * 2)

    def _post(self, body: dict[str, Any]) -> tuple[str, httpx.Response | None]:
        key = f"{body['source']}/{body['external_id']}"
        try:
            answer = self._http.post("/v1/conversations", json=body, headers={"Idempotency-Key": key})
        except httpx.TransportError as error:
            return type(error).__name__, None
        return str(answer.status_code), answer

    @contextmanager
    def sending(self, bodies: Sequence[dict[str, Any]]) -> Iterator["Sending"]:
        """Hands in side by side while the block runs; all is accepted when it ends."""
        with ThreadPoolExecutor(self.senders) as pool:
            under_way = Sending([pool.submit(self.hand_in, body) for body in bodies])
            try:
                yield under_way
                under_way.results()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def close(self) -> None:
        self._http.close()


@dataclass(frozen=True)
class Sending:
    """Hand-ins under way."""

    futures: Sequence[Future[Accepted]]

    @property
    def accepted(self) -> int:
        return sum(f.done() and f.exception() is None for f in self.futures)

    def results(self) -> list[Accepted]:
        """Waits for all of them. Raises the first failure."""
        return [f.result() for f in self.futures]


Bodies = Callable[[int], dict[str, Any]]
