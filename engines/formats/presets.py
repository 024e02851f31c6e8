"""Mappings that are ready to use, as data: `mappings/NAME.json`, and for each what it reads: `examples/NAME.*`."""

import json
from functools import cache
from pathlib import Path

from domain.conversation import Frozen
from domain.errors import NotFound
from domain.mapping import Format, SourceMapping

_FOLDER = Path(__file__).parent / "mappings"
_EXAMPLES = Path(__file__).parent / "examples"


class Preset(Frozen):
    """A ready mapping: for which format, and in a sentence what it reads."""

    format: Format
    about: str
    mapping: SourceMapping


def presets() -> tuple[str, ...]:
    """The names of all."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.json")))


@cache
def preset(name: str) -> Preset:
    """Raises NotFound, naming those there are."""
    if name not in presets():
        raise NotFound(f"there is no mapping of that name; there are {', '.join(presets())}")
    return Preset.model_validate(json.loads((_FOLDER / f"{name}.json").read_text()))


def example(name: str) -> Path:
    """A small file the mapping of that name reads, in words of our own. Raises NotFound."""
    preset(name)
    return next(_EXAMPLES.glob(f"{name}.*"))
