"""What use cases need of the readers of formats; `engines.formats` has them, `infra.readers` brings them."""

from typing import Protocol

from domain.mapping import Format, SourceMapping
from engines.protocols import FormatReader


class Readers(Protocol):
    def reader(self, form: Format) -> FormatReader: ...

    def preset(self, name: str) -> tuple[Format, SourceMapping]:
        """The mapping that ships under this name, and what it is for. Raises InvalidInput."""
        ...

    def check(self, mapping: SourceMapping, form: Format) -> None:
        """Raises InvalidInput naming each expression that is none, and what is missing."""
        ...
