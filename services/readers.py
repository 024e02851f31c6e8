"""What use cases need of the readers of formats; `engines.formats` has them, `infra.readers` brings them."""

from typing import Protocol

from domain.mapping import Format, SourceMapping
from engines.protocols import FormatReader
from storage.protocols import Source


class Readers(Protocol):
    def reader(self, form: Format) -> FormatReader: ...

    def preset(self, name: str) -> tuple[Format, SourceMapping]:
        """The mapping that ships under this name, and what it is for. Raises InvalidInput."""
        ...

    def check(self, mapping: SourceMapping, form: Format) -> None:
        """Raises InvalidInput naming each expression that is none, and what is missing."""
        ...


def reading_of(readers: Readers, source: Source, form: Format) -> tuple[FormatReader, SourceMapping | None]:
    """Who reads what a source sends in this form, and by which mapping. Raises InvalidInput for an unknown preset."""
    mapping = source.mapping
    if mapping is None and source.preset is not None:
        _, mapping = readers.preset(source.preset)
    return readers.reader(form), None if mapping is None else with_channel(mapping, source)


def with_channel(mapping: SourceMapping, source: Source) -> SourceMapping:
    """What all of a source's conversations are need not be said once more in its mapping."""
    if mapping.channel is not None or source.channel is None:
        return mapping
    return mapping.model_copy(update={"channel": source.channel})
