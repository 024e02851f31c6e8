"""Whether the parts Parley stands on answer: for `/readyz` and `parley doctor`."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from domain.conversation import Frozen
from domain.errors import ParleyError
from services.briefly import Briefly

PROBE_SECONDS = 3.0


@dataclass(frozen=True)
class Probe:
    """One part. `essential`: without it nothing can be accepted. `ask` answers what it saw in a few words, or raises.

    Temporal and search are not essential: conversations are accepted without them and run when they are back.
    """

    name: str
    essential: bool
    ask: Callable[[], Awaitable[str | None]]


class PartState(Frozen):
    """detail: what was seen, or the code of what went wrong; never an address or a secret."""

    name: str
    ok: bool
    essential: bool
    milliseconds: float
    detail: str | None = None


class ReadinessReport(Frozen):
    """ready: everything essential answers. degraded: ready, and something else does not answer."""

    parts: tuple[PartState, ...]

    @property
    def ready(self) -> bool:
        return all(part.ok for part in self.parts if part.essential)

    @property
    def degraded(self) -> bool:
        return self.ready and not all(part.ok for part in self.parts)


class Readiness:
    """Asks every part at once, each within its time. Answers are kept for a moment, so that asking costs nothing."""

    def __init__(
        self, probes: Sequence[Probe], *, probe_seconds: float = PROBE_SECONDS, cache_seconds: float = 1.0
    ) -> None:
        self._probes = tuple(probes)
        self._probe_seconds = probe_seconds
        self._kept: Briefly[str, ReadinessReport] = Briefly(cache_seconds)

    async def report(self) -> ReadinessReport:
        return await self._kept.get("report", self._ask_all)

    async def _ask_all(self) -> ReadinessReport:
        return ReadinessReport(parts=tuple(await asyncio.gather(*(self._ask(probe) for probe in self._probes))))

    async def _ask(self, probe: Probe) -> PartState:
        began = time.monotonic()
        ok, detail = True, None
        try:
            async with asyncio.timeout(self._probe_seconds):
                detail = await probe.ask()
        except TimeoutError:
            ok, detail = False, f"no answer within {self._probe_seconds:g} s"
        except ParleyError as error:
            ok, detail = False, error.code
        except Exception as error:  # a probe that breaks is a part that does not answer
            ok, detail = False, type(error).__name__
        milliseconds = round((time.monotonic() - began) * 1000, 1)
        return PartState(name=probe.name, ok=ok, essential=probe.essential, milliseconds=milliseconds, detail=detail)
