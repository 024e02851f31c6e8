"""Which ports the stack uses: the well-known ones when free, else the last run's, else any; a change is told."""

from collections.abc import Callable, Mapping

from infra.embedded.process import free_port

_DEFAULTS: Mapping[str, int] = {
    "api": 8420,
    "temporal": 7233,
    "temporal_ui": 8233,
    "postgres": 54320,
    "meilisearch": 7700,
}


class Ports:
    """Chooses each port once per run."""

    def __init__(self, last: Mapping[str, int], preferred: Mapping[str, int], tell: Callable[[str], None]) -> None:
        self._last = last
        self._preferred = preferred
        self._tell = tell
        self._chosen: dict[str, int] = {}

    @property
    def chosen(self) -> dict[str, int]:
        return dict(self._chosen)

    def choose(self, name: str) -> int:
        """The port of `name`, the same at every call."""
        if name not in self._chosen:
            wanted = self._preferred.get(name) or _DEFAULTS.get(name)
            candidates = [port for port in (wanted, self._last.get(name)) if port]
            port = free_port(*candidates, taken=frozenset(self._chosen.values()))
            self._chosen[name] = port
            if wanted and port != wanted:
                self._tell(f"port {wanted} is taken: {name.replace('_', ' ')} uses {port}")
        return self._chosen[name]
