"""Where things are in the content store. Every key starts with the tenant's id."""

from domain.contracts import RunRef


def accepted(tenant_id: str, conversation_id: str, acceptance_id: str) -> str:
    """The body as it was handed in; one acceptance, one key, so that a lost race overwrites nothing."""
    return f"{tenant_id}/conversations/{conversation_id}/accepted/{acceptance_id}.json"


def event(tenant_id: str, source_id: str, event_id: str, acceptance_id: str) -> str:
    """A raw body as its sender gave it; one acceptance, one key."""
    return f"{tenant_id}/sources/{source_id}/events/{event_id}/{acceptance_id}"


def upload(tenant_id: str, upload_id: str) -> str:
    return f"{tenant_id}/uploads/{upload_id}"


def pulled_audio(run: RunRef, position: int) -> str:
    return f"{run.tenant_id}/conversations/{run.conversation_id}/{run.revision}/audio-{position}"


def transcript(run: RunRef, transcript_id: str) -> str:
    return f"{run.tenant_id}/conversations/{run.conversation_id}/{run.revision}/transcript-{transcript_id}.json"


def sealed_rendition(run: RunRef) -> str:
    """The original turns and the map that leads from masks back to them. One key an entry: entries never mix."""
    return f"{run.tenant_id}/conversations/{run.conversation_id}/{run.revision}/original-{run.entry}.json"


def imported(tenant_id: str, import_id: str) -> str:
    """The file of an import, until it has been read to its end."""
    return f"{tenant_id}/imports/{import_id}"
