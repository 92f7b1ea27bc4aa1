"""FiftyOne's exports: ``labels.json`` beside ``data/``, and ``samples.json`` of whole data sets."""

from collections.abc import Iterator, Mapping
from typing import Any

from fursure.annotations.annotated import Annotated, Opinion
from fursure.annotations.opening import FileOpening
from fursure.annotations.streamed import entries


def has_labels(opening: FileOpening) -> bool:
    """Return whether a file begins as a FiftyOneImageClassificationDataset does."""
    return set(opening.first) >= {"classes", "labels"} and bool(opening.first["labels"].name)


def has_samples(opening: FileOpening) -> bool:
    """Return whether a file begins as a FiftyOneDataset does."""
    match opening.of("samples"):
        case {"filepath": str()}:
            return True
    return False


def labels(data: bytes) -> Iterator[Annotated]:
    """Yield the photos of ``labels.json``: ids of files, and classes by number or by name."""
    classes = [str(entry.value) for entry in entries(data) if entry.key == "classes"]
    for entry in entries(data):
        if entry.key == "labels":
            opinion = _opinion(entry.value, classes)
            yield Annotated(written=entry.name, opinions={"label": [opinion]} if opinion else {})


def samples(data: bytes) -> Iterator[Annotated]:
    """Yield the photos of ``samples.json``, with each field that holds classifications."""
    for entry in entries(data):
        match entry:
            case _ if entry.key != "samples":
                continue
            case _ if isinstance(entry.value, dict) and "filepath" in entry.value:
                yield _sample(entry.value)
            case _:
                raise ValueError("a sample without a filepath; export the data set again")


def _sample(sample: Mapping[str, Any]) -> Annotated:
    fields = {
        name: [_opinion(value, ())]
        for name, value in sample.items()
        if isinstance(value, dict) and value.get("_cls") in ("Classification", "Classifications")
    }
    tags = sample.get("tags")
    return Annotated(
        written=str(sample["filepath"]),
        opinions=fields,
        splits=tuple(map(str, tags)) if isinstance(tags, list) else (),
    )


def _opinion(value: Any, classes: list[str] | tuple[str, ...]) -> Opinion:
    """Return the labels that a value stands for."""
    match value:
        case bool() | None:
            return ()
        case int():
            if not 0 <= value < len(classes):
                raise ValueError(f"class {value} of {len(classes)}")
            return (classes[value],)
        case str():
            return (value,) if value else ()
        case {"label": label}:
            return _opinion(label, classes)
        case {"classifications": list(several)} | list(several):
            return tuple(
                dict.fromkeys(label for one in several for label in _opinion(one, classes))
            )
    return ()
