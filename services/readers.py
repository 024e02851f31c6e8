"""What use cases need of the readers of formats; `engines.formats` has them, `infra.wiring` brings them."""

from typing import Protocol

from domain.mapping import Format, SourceMapping
from engines.protocols import FormatReader


class Readers(Protocol):
    def reader(self, format: Format) -> FormatReader:
        """Raises InvalidInput when there is none."""
        ...

    def preset(self, name: str) -> SourceMapping:
        """The mapping that ships under this name. Raises InvalidInput."""
        ...

    def check(self, mapping: SourceMapping) -> None:
        """Raises InvalidInput naming the expression that is none."""
        ...
