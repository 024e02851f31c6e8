"""The one place that makes and checks identifiers.

Tenant ids are 32 lower-case hex digits (search equality ignores case, so an id never relies on it);
every other id is a canonical lower-case UUID.
"""

import re
from typing import Annotated, NewType
from uuid import UUID, uuid4, uuid5

from pydantic import StringConstraints

TenantId = NewType("TenantId", str)

TENANT_ID_PATTERN = r"^[0-9a-f]{32}$"
UUID_PATTERN = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"

TenantIdStr = Annotated[str, StringConstraints(pattern=TENANT_ID_PATTERN)]
IdStr = Annotated[str, StringConstraints(pattern=UUID_PATTERN)]

_NAMESPACE = UUID("6f1d3a52-98a4-4d0c-9a57-6d8a0f3b5c11")


def new_tenant_id() -> TenantId:
    """A fresh tenant id."""
    return TenantId(uuid4().hex)


def new_id() -> str:
    """A fresh id for anything but a tenant."""
    return str(uuid4())


def derived_id(*parts: str) -> str:
    """The same id for the same parts, always: what makes a repeated effect harmless."""
    return str(uuid5(_NAMESPACE, "\x1f".join(parts)))


def is_tenant_id(value: str) -> bool:
    return re.fullmatch(TENANT_ID_PATTERN, value) is not None


def is_id(value: str) -> bool:
    return re.fullmatch(UUID_PATTERN, value) is not None
