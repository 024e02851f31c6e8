"""What each role may see and do: the one table. Keys have scopes instead (`services.authenticate`)."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from domain.people import UserRole


class Permission(StrEnum):
    EVERY_CONVERSATION = "every_conversation"  # results of all of the tenant's conversations, in the redacted rendition
    SENSITIVE_FIELDS = "sensitive_fields"  # values of fields marked sensitive; without it they cannot be filtered by
    ORIGINALS = "originals"  # audio and unmasked words; every look is on the audit trail
    OPERATIONS = "operations"  # links into Temporal, what engines answered, running again
    CONFIGURE = "configure"  # fields, tasks, engines of the tenant
    PEOPLE = "people"  # accounts of the tenant
    AUDIT_TRAIL = "audit_trail"


_P = Permission
_RESULTS = frozenset({_P.EVERY_CONVERSATION})

PERMISSIONS: Mapping[UserRole, frozenset[Permission]] = MappingProxyType(
    {
        # Runs the platform: whatever it takes to find out what is wrong.
        UserRole.OPERATOR: frozenset(Permission),
        # Hosts the tenant: sets it up, and has no business in its personal data.
        UserRole.PARTNER_ADMIN: _RESULTS | {_P.CONFIGURE, _P.PEOPLE},
        UserRole.TENANT_ADMIN: frozenset(Permission) - {_P.OPERATIONS},
        # Conversations of managed groups only. Nothing says yet whose conversation is whose, so for now: none.
        UserRole.SUPERVISOR: frozenset({_P.SENSITIVE_FIELDS, _P.ORIGINALS}),
        UserRole.ANALYST: _RESULTS | {_P.SENSITIVE_FIELDS},
        UserRole.VIEWER: _RESULTS,
        UserRole.AUDITOR: _RESULTS | {_P.AUDIT_TRAIL},
    }
)


def may(role: UserRole, permission: Permission) -> bool:
    return permission in PERMISSIONS[role]
