"""Where the API is and with which key: from the environment, or from the embedded stack that runs here."""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from domain.errors import ParleyError
from infra.embedded import control
from infra.embedded.stack import StackOptions
from infra.embedded.state import StateFolder
from storage.api_keys import SCOPES
from storage.postgres.provisioning import Provisioning

KEY_FILE = "operator.key"
TENANT_FILE = "tenant"


class NotConnected(ParleyError):
    """There is no API to talk to, or no key for it."""

    code = "not_connected"
    title = "No service to talk to"


@dataclass(frozen=True)
class Connection:
    """url without trailing slash. tenant: slug or id the key acts on, None for a tenant's own key."""

    url: str
    key: SecretStr
    tenant: str | None = None


def connect(tenant: str | None = None, environ: Mapping[str, str] = os.environ) -> Connection:
    """`PARLEY_URL` and `PARLEY_API_KEY`, else the embedded stack of `PARLEY_HOME`. Raises NotConnected."""
    tenant = tenant or environ.get("PARLEY_TENANT") or None
    url, key = environ.get("PARLEY_URL", ""), environ.get("PARLEY_API_KEY", "")
    if url and key:
        return Connection(url.rstrip("/"), SecretStr(key), tenant)
    state = StateFolder.at(StackOptions.from_environment(environ).home)
    record = control.current(state)
    address = record.addresses.get("api") if record is not None and record.supervisor() is not None else None
    if address is None:
        raise NotConnected(
            "nothing runs here: start it with `parley up` or `make demo`, "
            "or set PARLEY_URL and PARLEY_API_KEY to reach a service elsewhere"
        )
    return Connection(url.rstrip("/") or address, operator_key(state), tenant or _default_tenant(state))


def operator_key(state: StateFolder) -> SecretStr:
    """The embedded stack's platform key: made with the database owner's URL on first use, kept beside the other
    secrets of the state folder."""
    file = state.secret_file(KEY_FILE)
    if not file.exists():
        owner = state.secret_file("database-url.owner").read_text(encoding="utf-8").strip()
        state.write_secret(KEY_FILE, asyncio.run(_new_operator_key(owner)).get_secret_value())
    return SecretStr(file.read_text(encoding="utf-8").strip())


async def _new_operator_key(owner_url: str) -> SecretStr:
    async with Provisioning.connect(owner_url) as provisioning:
        return (await provisioning.create_api_key("embedded operator", scopes=SCOPES)).key


def remember_tenant(state: StateFolder, tenant_id: str) -> None:
    """The tenant commands act on when none is named."""
    (state.path / TENANT_FILE).write_text(tenant_id, encoding="utf-8")


def _default_tenant(state: StateFolder) -> str | None:
    file: Path = state.path / TENANT_FILE
    return file.read_text(encoding="utf-8").strip() if file.exists() else None
