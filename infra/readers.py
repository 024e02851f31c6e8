"""The readers of `engines.formats`, loaded when a body is first read: they bring libraries of their own."""

import importlib
from typing import Any

from domain.errors import InvalidInput
from domain.mapping import Format, SourceMapping
from engines.protocols import FormatReader


class FormatReaders:
    """Fulfils `services.readers.Readers`."""

    def reader(self, format: Format) -> FormatReader:
        found: FormatReader = self._formats().reader_of(format)
        return found

    def preset(self, name: str) -> SourceMapping:
        presets = getattr(self._formats(), "preset_of", None)
        if presets is None:
            raise InvalidInput.of("preset", "there is none of this name")
        found: SourceMapping = presets(name)
        return found

    def check(self, mapping: SourceMapping) -> None:
        check = getattr(self._formats(), "check_mapping", None)
        if check is not None:
            check(mapping)

    @staticmethod
    def _formats() -> Any:
        return importlib.import_module("engines.formats")
