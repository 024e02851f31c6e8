"""Addresses in answers."""

from api.schemas.conversations import Links
from api.schemas.imports import ImportLinks
from domain.contracts import RunRef
from domain.conversation import Channel
from services.facade import ApiServices


def conversation_links(
    services: ApiServices, conversation_id: str, channel: Channel, *, run: RunRef | None = None
) -> Links:
    """`run` only for who may see the Temporal Web UI."""
    base = f"{services.caps.public_url}/v1/conversations/{conversation_id}"
    return Links(
        self=base,
        explain=f"{base}/explain",
        words=f"{base}/{'transcript' if channel is Channel.CALL else 'thread'}",
        fields=f"{base}/fields",
        executions=f"{base}/executions",
        temporal=services.orchestrator.link(run) if run is not None else None,
    )


def import_links(services: ApiServices, import_id: str) -> ImportLinks:
    base = f"{services.caps.public_url}/v1/imports/{import_id}"
    return ImportLinks(self=base, rows=f"{base}/rows", failed=f"{base}/rows?state=failed")


def upload_url(services: ApiServices, upload_id: str, token: str) -> str:
    """Where the bytes are put; whoever has the address may do so until it expires."""
    return f"{services.caps.public_url}/v1/uploads/{upload_id}?token={token}"
