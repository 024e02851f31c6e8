"""What an import's body is: by its media type, and what its source sends."""

from pathlib import PurePosixPath

from domain.errors import UnsupportedMedia
from domain.mapping import Format

NDJSON = "application/x-ndjson"
ARCHIVE = "application/x-tar"
"""Many files at once. It is no form of its own: each file in it is cut for itself."""

UNNAMED = "application/octet-stream"

_JSON = frozenset({NDJSON, "application/ndjson", "application/jsonl", "application/jsonlines", "application/json"})
_IN_JSON = (Format.CANONICAL, Format.JSON, Format.RECORDING)
_FORMATS: dict[str, Format] = {
    "text/csv": Format.TABLE,
    "text/tab-separated-values": Format.TABLE,
    "message/rfc822": Format.EMAIL,
    "application/mbox": Format.EMAIL,
}

MEDIA_TYPES = (NDJSON, "application/json", *_FORMATS, ARCHIVE)
"""What a body may be, the usual one first."""

_SUFFIXES = {
    ".ndjson": NDJSON,
    ".jsonl": NDJSON,
    ".json": "application/json",
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".eml": "message/rfc822",
    ".mbox": "application/mbox",
    ".tar": ARCHIVE,
}


def media_type_of(name: str) -> str:
    """By the ending of a file's name."""
    return _SUFFIXES.get(PurePosixPath(name).suffix.lower(), UNNAMED)


def import_form(content_type: str | None, wanted: Format | None, sent: Format | None = None) -> tuple[str, Format]:
    """(media type, format) of a body. wanted: what the caller says; sent: what the source sends, by which JSON is read
    when the caller says nothing, canonical otherwise.

    Raises UnsupportedMedia for a media type that is none of these, or does not go with the format.
    """
    media_type = (content_type or "").partition(";")[0].strip().lower()
    if media_type in ("", UNNAMED):
        media_type = NDJSON
    if media_type == ARCHIVE:
        if wanted is None:
            raise UnsupportedMedia.of("format", "an archive needs to be told what its files are")
        return media_type, wanted
    if media_type in _JSON:
        if wanted in (Format.TABLE, Format.EMAIL):
            raise UnsupportedMedia.of("Content-Type", f"is not {media_type} for the format {wanted.value}")
        return media_type, wanted or (sent if sent in _IN_JSON else None) or Format.CANONICAL
    found = _FORMATS.get(media_type)
    if found is None:
        raise UnsupportedMedia.of("Content-Type", f"is one of {', '.join(MEDIA_TYPES)}")
    if wanted not in (None, found):
        raise UnsupportedMedia.of("Content-Type", f"is not {media_type} for the format {wanted.value}")
    return media_type, found
