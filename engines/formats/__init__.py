"""What senders really send: a reader a format, each one file and one line here."""

from domain.mapping import Format
from engines.formats.canonical import CanonicalReader
from engines.formats.check import check_mapping
from engines.formats.email import EmailReader
from engines.formats.mapped import MappedReader
from engines.formats.presets import Preset, example, preset, presets
from engines.formats.recording import RecordingReader
from engines.formats.table import TableReader
from engines.protocols import FormatReader

__all__ = ["Preset", "check_mapping", "example", "preset", "presets", "reader_of"]

_READERS: dict[Format, FormatReader] = {
    Format.CANONICAL: CanonicalReader(),
    Format.JSON: MappedReader(),
    Format.TABLE: TableReader(),
    Format.EMAIL: EmailReader(),
    Format.RECORDING: RecordingReader(),
}


def reader_of(form: Format) -> FormatReader:
    """The reader of a format; it holds nothing and may serve many threads."""
    return _READERS[form]
