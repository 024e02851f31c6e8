"""The tenant's row as the rest of Parley sees it."""

from typing import TYPE_CHECKING

from storage.protocols import Tenant

if TYPE_CHECKING:
    from asyncpg import Record

_FIELDS = tuple(Tenant.model_fields)


def to_tenant(row: "Record") -> Tenant:
    """A tenant the operator hosts itself has no partner."""
    values = {name: row[name] for name in _FIELDS}
    if values["partner_id"] == "operator":
        values["partner_id"] = None
    return Tenant.model_validate(values)
