"""Search attributes: one list (`domain.contracts.Attribute`) is both the constants and what is registered."""

import asyncio
import tomllib
from pathlib import Path

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError, RPCStatusCode

from domain.contracts import Attribute, ImportRef
from domain.conversation import Conversation, Lane
from domain.errors import ParleyError, Unavailable
from domain.imports import Import
from storage.protocols import RunEntry

_VISIBLE_SECONDS = 10.0
_POLL_SECONDS = 0.2


class SearchAttributesMissing(ParleyError):
    """The namespace lacks search attributes and this client may not add them. Names them."""

    code = "search_attributes_missing"
    title = "The Temporal namespace lacks search attributes"


def key(attribute: Attribute) -> SearchAttributeKey[str]:
    """Temporal's typed key of an attribute."""
    return SearchAttributeKey.for_keyword(attribute.value)


def at_start(entry: RunEntry, conversation: Conversation) -> TypedSearchAttributes:
    """What a run carries from its first event: ids and words of ours, no personal data."""
    values = {
        Attribute.TENANT: entry.run.tenant_id,
        Attribute.CHANNEL: entry.channel.value,
        Attribute.SOURCE: conversation.source,
        Attribute.LANE: entry.run.lane.value,
    }
    return TypedSearchAttributes([SearchAttributePair(key(name), value) for name, value in values.items()])


def of_import(ref: ImportRef, found: Import) -> TypedSearchAttributes:
    """What an import's run carries from its first event."""
    values = {Attribute.TENANT: ref.tenant_id, Attribute.SOURCE: found.source, Attribute.LANE: Lane.BACKFILL.value}
    return TypedSearchAttributes([SearchAttributePair(key(name), value) for name, value in values.items()])


def configured(config_dir: Path) -> dict[str, str]:
    """Name and type of each attribute of `search-attributes.toml`, which the embedded server is started with."""
    parsed = tomllib.loads((config_dir / "search-attributes.toml").read_text(encoding="utf-8"))
    return {str(name): str(kind) for name, kind in parsed["attributes"].items()}


async def register(client: Client) -> None:
    """Adds what the namespace lacks and waits until it is there. Idempotent.

    Raises:
        SearchAttributesMissing: they cannot be added with this client's rights; the message names them.
        Unavailable: Temporal does not answer.
    """
    missing = await _missing(client)
    if not missing:
        return
    request = AddSearchAttributesRequest(
        namespace=client.namespace,
        search_attributes=dict.fromkeys(missing, IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD),
    )
    try:
        await client.operator_service.add_search_attributes(request)
    except RPCError as error:
        if error.status is not RPCStatusCode.ALREADY_EXISTS:
            names = ", ".join(f"{name}=Keyword" for name in missing)
            raise SearchAttributesMissing(f"add these search attributes to the namespace: {names}") from error
    for _ in range(round(_VISIBLE_SECONDS / _POLL_SECONDS)):  # on Postgres it takes the server about a second
        if not await _missing(client):
            return
        await asyncio.sleep(_POLL_SECONDS)
    raise SearchAttributesMissing("search attributes were added and do not appear in the namespace")


async def _missing(client: Client) -> list[str]:
    try:
        known = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=client.namespace)
        )
    except RPCError as error:
        raise Unavailable(f"Temporal does not list its search attributes: {error.status.name.lower()}") from error
    return [name.value for name in Attribute if name.value not in known.custom_attributes]
