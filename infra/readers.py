"""The readers of `engines.formats`, loaded when a body is first read: they bring libraries of their own."""

from domain.errors import InvalidInput, NotFound
from domain.mapping import Format, SourceMapping
from engines.protocols import FormatReader


class FormatReaders:
    """Fulfils `services.readers.Readers`."""

    def reader(self, form: Format) -> FormatReader:
        from engines.formats import reader_of

        return reader_of(form)

    def preset(self, name: str) -> tuple[Format, SourceMapping]:
        from engines.formats import preset

        try:
            found = preset(name)
        except NotFound as missing:
            raise InvalidInput.of("preset", missing.message) from None
        return found.format, found.mapping

    def check(self, mapping: SourceMapping, form: Format) -> None:
        from engines.formats import check_mapping

        check_mapping(mapping, form)
