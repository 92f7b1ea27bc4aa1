"""Datumaro's JSON, which CVAT exports too: items with labels by their number."""

from collections.abc import Iterator, Mapping
from typing import Any

from fursure.annotations.annotated import Annotated
from fursure.annotations.opening import FileOpening
from fursure.annotations.streamed import entries


def has_items(opening: FileOpening) -> bool:
    """Return whether a file begins as ``annotations/default.json`` does."""
    match opening.of("items"):
        case {"id": str(), "annotations": list()}:
            return "categories" in opening.first
    return False


def items(data: bytes) -> Iterator[Annotated]:
    """Yield the photos; the names of the classes may stand before or after them."""
    classes: list[str] = []
    for entry in entries(data):
        match (entry.key, entry.name, entry.value):
            case ("categories", "label", {"labels": list(listed)}):
                classes = [str(one.get("name")) for one in listed if isinstance(one, dict)]
    for entry in entries(data):
        if entry.key == "items" and isinstance(entry.value, dict):
            yield _item(entry.value, classes)


def _item(item: Mapping[str, Any], classes: list[str]) -> Annotated:
    match item:
        case {"image": {"path": str(path)}} | {"media": {"path": str(path)}} if path:
            written = path
        case _:
            written = str(item.get("id", ""))
    made = item.get("annotations")
    numbers = [
        one.get("label_id")
        for one in (made if isinstance(made, list) else [])
        if isinstance(one, dict) and one.get("type") == "label"
    ]
    if any(type(number) is not int or not 0 <= number < len(classes) for number in numbers):
        raise ValueError(f"a label that is none of the {len(classes)} there are")
    opinion = tuple(dict.fromkeys(classes[number] for number in numbers if number is not None))
    return Annotated(written=written, opinions={"label": [opinion]} if opinion else {})
