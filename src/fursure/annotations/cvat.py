"""CVAT's export "CVAT for images": XML in which images have tags."""

from collections.abc import Iterator
from xml.parsers import expat

from fursure.annotations.annotated import Annotated
from fursure.annotations.opening import FileOpening

_BLOCK = 1 << 16  # bytes parsed at a time
_DEEPEST = 20  # elements within each other; an export has 6
_TAGS = "tag"  # the only question that an export answers


def has_images(opening: FileOpening) -> bool:
    """Return whether a file is such an export."""
    return opening.root == "annotations"


def images(data: bytes) -> Iterator[Annotated]:
    """Yield the photos of an export, of a task or a project.

    Raises:
        ValueError: it is no such XML, is cut off, or declares a document type.
    """
    reading = _Images()
    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = reading.start, reading.end
    parser.StartDoctypeDeclHandler = _refuse
    try:
        for start in range(0, len(data), _BLOCK):
            parser.Parse(data[start : start + _BLOCK], False)
            yield from reading.taken()
        parser.Parse(b"", True)
    except (expat.ExpatError, LookupError) as error:  # the second one: an encoding of no name
        raise ValueError(f"it is no whole XML ({error})") from None


def _refuse(*_declared: object) -> None:
    raise ValueError("it declares a document type, as an export of CVAT never does")


class _Images:
    """The images that the parser has come by."""

    def __init__(self) -> None:
        self._done: list[Annotated] = []
        self._image: dict[str, str] | None = None
        self._labels: list[str] = []
        self._depth = 0

    def start(self, element: str, attributes: dict[str, str]) -> None:
        """Take the beginning of an element."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ValueError(f"it nests more than {_DEEPEST} elements")
        if element == "image" and self._depth == 2:
            self._image, self._labels = attributes, []
        elif element == "tag" and self._image is not None:
            self._labels.append(attributes.get("label", ""))

    def end(self, element: str) -> None:
        """Take the end of an element."""
        self._depth -= 1
        if element == "image" and self._image is not None and self._depth == 1:
            self._done.append(_photo(self._image, self._labels))
            self._image = None

    def taken(self) -> list[Annotated]:
        """Return the images that were not asked for yet."""
        done, self._done = self._done, []
        return done


def _photo(image: dict[str, str], labels: list[str]) -> Annotated:
    opinion = tuple(dict.fromkeys(filter(None, labels)))
    subset, name = image.get("subset", ""), image.get("name", "")
    return Annotated(
        written=f"{subset}/{name}" if subset else name,
        opinions={_TAGS: [opinion]} if opinion else {},
        splits=(subset,) if subset else (),
    )
