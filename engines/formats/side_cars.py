"""Side-cars: what a recorder leaves beside its audio, in JSON, XML or CSV."""

from collections.abc import Iterator
from io import BytesIO
from typing import Any, BinaryIO
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from domain.errors import InvalidInput, TooLarge
from engines.formats.cutting import json_items
from engines.formats.rows import Table
from engines.formats.values import payload_of

LARGEST_SIDE_CAR = 16 * 1024 * 1024
_DEEPEST = 50
_MOST_ELEMENTS = 200_000


def side_cars(body: BinaryIO, name: str) -> list[dict[str, Any]]:
    """The objects of a side-car file: one for JSON and XML, one a row for CSV and one an element for a JSON list.
    Raises InvalidInput when it cannot be read, or holds something else."""
    found = side_car(body, name)
    return [_object(one) for one in (found if isinstance(found, list) else [found])]


def side_car(body: BinaryIO, name: str) -> Any:
    """What a side-car file holds, told by its first bytes and its name: a JSON value, the values of JSON lines, an
    object for XML, a list of objects for CSV.

    XML: attributes and child elements by name, namespaces off, those that come several times as a list; an element with
    nothing inside is its text, one with both has it under `text`. Raises InvalidInput when it cannot be read.
    """
    data = body.read(LARGEST_SIDE_CAR + 1)
    if len(data) > LARGEST_SIDE_CAR:
        raise TooLarge.of("side_car", f"is at most {LARGEST_SIDE_CAR // 1024 // 1024} MB")
    start = data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if start in (b"{", b"[") and not name.lower().endswith((".csv", ".tsv")):
        items = [payload_of(item) for item in json_items(BytesIO(data))]
        return items[0] if start == b"{" and len(items) == 1 else items
    if start == b"<":
        return _xml(data)
    if name.lower().endswith((".csv", ".tsv", ".txt")):
        return list(_rows(data, name))
    raise InvalidInput.of("side_car", "is neither JSON, XML nor a table")


def _rows(data: bytes, name: str) -> Iterator[dict[str, Any]]:
    for row in Table(BytesIO(data), delimiter="\t" if name.lower().endswith(".tsv") else None).rows():
        if row.trouble is not None:
            raise InvalidInput.of("side_car", row.trouble)
        yield dict(row.values)


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidInput.of("side_car", "is not an object")
    return value


def _xml(data: bytes) -> dict[str, Any]:
    try:
        root = fromstring(data, forbid_dtd=True, forbid_entities=True, forbid_external=True)
    except DefusedXmlException:
        raise InvalidInput.of("side_car", "holds a document type or entities, which are not read") from None
    except ParseError as error:
        line, column = error.position
        raise InvalidInput.of("side_car", f"is not XML: see line {line}, column {column + 1}") from None
    except (ValueError, LookupError, RecursionError):
        raise InvalidInput.of("side_car", "is not XML that can be read") from None
    if sum(1 for _ in root.iter()) > _MOST_ELEMENTS:
        raise TooLarge.of("side_car", f"has more than {_MOST_ELEMENTS:,} elements")
    found = _element(root, 0)
    return found if isinstance(found, dict) else {_local(root.tag): found}


def _element(element: Element, depth: int) -> Any:
    if depth > _DEEPEST:
        raise InvalidInput.of("side_car", "is nested too deeply")
    text = (element.text or "").strip()
    found: dict[str, Any] = {_local(name): value for name, value in element.attrib.items()}
    several: set[str] = set()
    for child in element:
        name, value = _local(str(child.tag)), _element(child, depth + 1)
        if name in several:
            found[name].append(value)
        elif name in found:
            several.add(name)
            found[name] = [found[name], value]
        else:
            found[name] = value
    if not found:
        return text
    return {**found, "text": text} if text and "text" not in found else found


def _local(name: str) -> str:
    return name.rsplit("}", 1)[-1]
