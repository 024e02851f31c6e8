"""Side-cars: what a recorder writes beside its audio, in JSON, XML or CSV, as objects."""

import csv
import json
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from domain.errors import InvalidInput

SUFFIXES = frozenset({".json", ".xml", ".csv"})
LARGEST = 16 * 1024 * 1024


def read_objects(file: Path) -> list[Any]:
    """One object for JSON and XML, one a row for CSV. Raises InvalidInput when it cannot be read."""
    if file.stat().st_size > LARGEST:
        raise InvalidInput(f"{file.name} is larger than a side-car may be")
    data = file.read_bytes()
    try:
        match file.suffix.lower():
            case ".xml":
                root = fromstring(data, forbid_dtd=True)
                return [{_local(root.tag): found} if isinstance(found := _element(root), str) else found]
            case ".csv":
                return [dict(row) for row in csv.DictReader(data.decode("utf-8-sig").splitlines(), restkey="")]
            case _:
                return [json.loads(data.decode("utf-8-sig"))]
    except (ValueError, csv.Error, ParseError, DefusedXmlException, RecursionError):
        raise InvalidInput(f"{file.name} cannot be read as {file.suffix.lstrip('.').upper()}") from None


def _element(element: Element) -> Any:
    """Attributes and children by name, those that come several times as a list; text where there is nothing else."""
    found: dict[str, Any] = {_local(name): value for name, value in element.attrib.items()}
    children: dict[str, list[Any]] = {}
    for child in element:
        children.setdefault(_local(child.tag), []).append(_element(child))
    found |= {name: several if len(several) > 1 else several[0] for name, several in children.items()}
    text = (element.text or "").strip()
    if not found:
        return text
    return {**found, "text": text} if text else found


def _local(tag: str) -> str:
    return str(tag).rsplit("}", 1)[-1]
