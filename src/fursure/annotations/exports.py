"""Every export that is read: the one table of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fursure.annotations import cvat, datumaro, fiftyone, label_studio
from fursure.annotations.annotated import Annotated
from fursure.annotations.opening import FileOpening, opening_of

EXPORT_SUFFIXES = frozenset({".json", ".xml"})


@dataclass(frozen=True, slots=True)
class Export:
    """A kind of file, told by how it begins."""

    tool: str  # as sentences call it
    begins: Callable[[FileOpening], bool]
    photos: Callable[[bytes], Iterator[Annotated]]  # raises ValueError for what is malformed


ANNOTATION_EXPORTS = (
    Export("Label Studio's JSON", label_studio.has_tasks, label_studio.tasks),
    Export("Label Studio's JSON_MIN", label_studio.has_rows, label_studio.rows),
    Export("CVAT's XML", cvat.has_images, cvat.images),
    Export("FiftyOne's labels.json", fiftyone.has_labels, fiftyone.labels),
    Export("FiftyOne's samples.json", fiftyone.has_samples, fiftyone.samples),
    Export("Datumaro's JSON", datumaro.has_items, datumaro.items),
)


def export_of(data: bytes) -> Export | None:
    """Return whose export a file is, None for a file of any other kind."""
    opening = opening_of(data)
    return next((export for export in ANNOTATION_EXPORTS if export.begins(opening)), None)


def export_names() -> str:
    """Return the kinds of exports in a line."""
    return ", ".join(export.tool for export in ANNOTATION_EXPORTS)
