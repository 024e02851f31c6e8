"""The environment of every process of the embedded stack: built here and nowhere else.

The names are those of `infra.settings`, so a process cannot tell the embedded stack from a cluster. Secrets
are files in the state folder and travel as references.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.embedded.meilisearch import SearchChoice
from infra.embedded.state import StateFolder


@dataclass(frozen=True)
class Addresses:
    """Where the parts are, once ports are chosen."""

    api_port: int
    temporal: str
    temporal_namespace: str
    temporal_ui: str
    meilisearch: str | None


def stack_environment(
    state: StateFolder, config: Path, addresses: Addresses, search: SearchChoice, given: Mapping[str, str]
) -> dict[str, str]:
    """What the stack decides for its processes. `given` is the caller's environment: it may point the content
    store, the public address and the log format elsewhere, the rest is the stack's own."""
    url = f"http://127.0.0.1:{addresses.api_port}"
    decided = {
        "PARLEY_PROFILE": "embedded",
        "PARLEY_HOME": str(state.path),
        "PARLEY_CONFIG_DIR": str(config),
        "PARLEY_URL": url,
        "PARLEY_API_HOST": "127.0.0.1",
        "PARLEY_API_PORT": str(addresses.api_port),
        "PARLEY_DATABASE_URL": f"file:{state.secret_file('database-url.app')}",
        "PARLEY_PLATFORM_DATABASE_URL": f"file:{state.secret_file('database-url.platform')}",
        "PARLEY_TEMPORAL_ADDRESS": addresses.temporal,
        "PARLEY_TEMPORAL_NAMESPACE": addresses.temporal_namespace,
        "PARLEY_TEMPORAL_UI_URL": addresses.temporal_ui,
        "PARLEY_MEILI_URL": addresses.meilisearch or "",
        "PARLEY_MASTER_KEY": f"file:{state.secret_file('master.key')}",
        "PARLEY_CODEC_KEY": f"file:{state.secret_file('codec.key')}",
    }
    if search.binary is not None:  # our own server; somebody else's has the key its owner gave it
        decided["PARLEY_MEILI_KEY"] = f"file:{state.secret_file('meilisearch.key')}"
    defaults = {
        "PARLEY_CONTENT_URL": state.content.as_uri(),
        "PARLEY_PUBLIC_URL": url,
        "PARLEY_LOG_FORMAT": "json",
    }
    return {**{name: given.get(name) or value for name, value in defaults.items()}, **decided}


def process_environment(
    stack: Mapping[str, str], *, metrics_port: int, ready_file: Path | None = None
) -> dict[str, str]:
    """The complete environment of one of our processes: the caller's, then the stack's, then its own."""
    own = {"PARLEY_METRICS_PORT": str(metrics_port), "PYTHONUNBUFFERED": "1"}
    if ready_file is not None:
        own["PARLEY_READY_FILE"] = str(ready_file)
    return {**os.environ, **stack, **own}
