"""People who sign in: their accounts and roles. What a role may do stands in `services.permissions`."""

import re
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, StringConstraints

from domain.conversation import Frozen, ShortText
from domain.ids import IdStr, TenantIdStr

MIN_PASSWORD, MAX_PASSWORD = 12, 256
"""Characters. Length is what makes a password hard to guess; no kinds of characters are asked for."""

_ADDRESS = re.compile(r"[^@\s<>,;:\"()\[\]]+@[^@\s<>,;:\"()\[\]]+")


def _address(text: str) -> str:
    if _ADDRESS.fullmatch(text) is None:
        raise ValueError("is not an e-mail address")
    return text


Email = Annotated[
    str, StringConstraints(max_length=254, to_lower=True, strip_whitespace=True), AfterValidator(_address)
]
"""An address as an account's name: compared in lower case."""


class UserRole(StrEnum):
    OPERATOR = "operator"
    PARTNER_ADMIN = "partner_admin"
    TENANT_ADMIN = "tenant_admin"
    SUPERVISOR = "supervisor"
    ANALYST = "analyst"
    VIEWER = "viewer"
    AUDITOR = "auditor"


class UserState(StrEnum):
    """locked: may not sign in, and can be let in again. gone: was removed; the row stays for the audit trail."""

    ACTIVE = "active"
    LOCKED = "locked"
    GONE = "gone"


class User(Frozen):
    """An account of one tenant. `has_password` is False for people who come by another way."""

    tenant_id: TenantIdStr
    id: IdStr
    email: str
    name: str
    role: UserRole
    state: UserState
    has_password: bool
    created_at: AwareDatetime


class NewUser(Frozen):
    email: Email
    name: Annotated[ShortText, StringConstraints(min_length=1)]
    role: UserRole


class UserChange(Frozen):
    """What of an account may change; only what is given does."""

    name: Annotated[ShortText, StringConstraints(min_length=1)] | None = None
    role: UserRole | None = None
    state: UserState | None = None


class SessionRecord(Frozen):
    """Somebody signed in. It ends at `expires_at` whatever happens, and earlier when it is not used."""

    id: IdStr
    user_id: IdStr
    origin: str | None
    created_at: AwareDatetime
    seen_at: AwareDatetime
    expires_at: AwareDatetime
