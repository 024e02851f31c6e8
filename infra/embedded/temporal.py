"""The embedded Temporal server: the dev server, with its Web UI, on a file database.

Switches and search attributes are data (`temporal-config/`), the same that a cluster is given.
"""

import json
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

import httpx
import yaml

from infra.embedded.process import Command


@dataclass(frozen=True)
class TemporalPorts:
    """gRPC front end, its HTTP twin (readiness), the Web UI."""

    grpc: int
    http: int
    ui: int


def start_dev_command(
    binary: Path,
    ports: TemporalPorts,
    config: Path,
    *,
    database: Path | None,
    cwd: Path,
    namespace: str = "default",
    ui: bool = True,
) -> Command:
    """The dev server's command line. Without `database` everything is in memory and lost at the end."""
    argv = [
        str(binary), "server", "start-dev",
        "--ip", "127.0.0.1",
        "--port", str(ports.grpc),
        "--http-port", str(ports.http),
        "--log-level", "warn",
        "--log-format", "json",
    ]  # fmt: skip
    argv += ["--ui-port", str(ports.ui)] if ui else ["--headless"]
    if namespace != "default":
        argv += ["--namespace", namespace]
    if database is not None:
        # A write-ahead log survives kill -9 and is as fast as memory; the default journal is three times slower.
        argv += ["--db-filename", str(database)]
        argv += ["--sqlite-pragma", "journal_mode=WAL", "--sqlite-pragma", "synchronous=NORMAL"]
    for key, value in dynamic_config(config).items():
        argv += ["--dynamic-config-value", f"{key}={json.dumps(value)}"]
    for name, kind in search_attributes(config).items():
        argv += ["--search-attribute", f"{name}={kind}"]
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return Command(argv=tuple(argv), env=environment, cwd=cwd)


def dynamic_config(config: Path) -> dict[str, object]:
    """Every switch of `dynamic-config.yaml` that applies without constraints, by name."""
    entries = yaml.safe_load((config / "dynamic-config.yaml").read_text(encoding="utf-8"))
    return {
        key: candidate["value"]
        for key, candidates in entries.items()
        for candidate in candidates
        if not candidate.get("constraints")
    }


def search_attributes(config: Path) -> dict[str, str]:
    """Name and type of every search attribute, as `search-attributes.toml` lists them."""
    parsed = tomllib.loads((config / "search-attributes.toml").read_text(encoding="utf-8"))
    return {str(name): str(kind) for name, kind in parsed["attributes"].items()}


def is_ready(ports: TemporalPorts, namespace: str = "default") -> bool:
    """Whether the front end answers for the namespace (its HTTP twin is asked: no client to keep)."""
    try:
        answer = httpx.get(f"http://127.0.0.1:{ports.http}/api/v1/namespaces/{namespace}", timeout=2, trust_env=False)
    except httpx.HTTPError:
        return False
    return answer.status_code == httpx.codes.OK
