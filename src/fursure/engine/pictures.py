"""What a program hands over as photos → names with paths, bytes, Pillow images or uint8 arrays.

Whatever has ``.read()`` is a photo, and so is an array; any other iterable is several. What is
none of these is a `TypeError` at once: no row of answers is the place for a mistake in a program.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fursure.photos.decode import LIMITS

CHANNELS = frozenset({1, 3, 4})  # grey, RGB, RGBA
_WANTED = (
    "a path, bytes, an open binary file, a Pillow image, an array or a tensor (height, width, "
    "channels) of uint8 or of floats in [0, 1], or an iterable of these"
)


def is_several(photos: Any) -> bool:
    """Return whether ``photos`` are several, and not one.

    Raises:
        TypeError: they are nothing of the kind.
    """
    if _is_single(photos):
        return False
    dimensions = getattr(photos, "ndim", None)
    if _is_array(photos) and dimensions not in {1, 4}:
        return False
    if isinstance(photos, Mapping) or not isinstance(photos, Iterable) or dimensions == 2:
        raise TypeError(f"found {_described(photos)}; needed is {_WANTED}")
    return True


def named_photos(photos: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    """Yield each photo with its name, in a form that can be decoded.

    Those of a list are looked at before the first is yielded.

    Raises:
        TypeError: one of them is no photo.
    """
    if isinstance(photos, Sequence):
        for row, photo in enumerate(photos):
            _check(photo, row)
    elif getattr(photos, "ndim", 0) == 4:
        photos = _as_numpy(photos, 0)
    for row, photo in enumerate(photos):
        yield named_photo(photo, row)


def named_photo(photo: Any, row: int = 0) -> tuple[str, Any]:
    """Return one photo with its name: its path, else its number.

    Raises:
        TypeError: it is no photo.
    """
    _check(photo, row)
    if isinstance(photo, str | PathLike):
        return str(photo), photo
    if isinstance(photo, bytearray | memoryview):
        return f"photo {row}", bytes(photo)
    if hasattr(photo, "read") and not isinstance(photo, Image.Image):
        return _read(photo, row)
    return f"photo {row}", _pixels(photo, row) if _is_array(photo) else photo


def _is_single(photo: Any) -> bool:
    kinds = (str, PathLike, bytes, bytearray, memoryview, Image.Image)
    return isinstance(photo, kinds) or hasattr(photo, "read")


def _is_array(photo: Any) -> bool:
    """Return whether it is an array or a tensor of whatever library; a Series of pandas is."""
    return all(hasattr(photo, name) for name in ("shape", "dtype", "ndim"))


def _check(photo: Any, row: int) -> None:
    """Refuse what is no photo by its kind alone."""
    if not _is_single(photo) and not (_is_array(photo) and photo.ndim in {2, 3}):
        raise TypeError(f"photo {row} is {_described(photo)}; needed is {_WANTED}")


def _described(photo: Any) -> str:
    kind = type(photo).__name__
    return f"{kind} of shape {tuple(photo.shape)}" if hasattr(photo, "shape") else f"a {kind}"


def _read(file: Any, row: int) -> tuple[str, bytes]:
    """Return the bytes of an open file from where it stands; one more than the limit tells."""
    data = file.read(LIMITS.bytes + 1)
    if not isinstance(data, bytes | bytearray):
        raise TypeError(
            f"photo {row} is a file that gives {type(data).__name__}; open it with mode 'rb'"
        )
    name = getattr(file, "name", None)
    return name if isinstance(name, str) else f"photo {row}", bytes(data)


def _as_numpy(photo: Any, row: int) -> NDArray[Any]:
    """Return an array in this process's memory, out of whatever library and device."""
    if hasattr(photo, "detach"):
        photo = photo.detach().cpu()
        if "bfloat16" in str(photo.dtype):  # which NumPy does not have
            photo = photo.float()
    try:
        return np.asarray(photo)
    except Exception as error:  # each library raises its own
        raise TypeError(f"photo {row} is {_described(photo)}, no array: {error}") from None


def _pixels(photo: Any, row: int) -> NDArray[np.uint8]:
    """Return an array as uint8, (H, W) or (H, W, C).

    Raises:
        TypeError: its shape or its values are no photo's.
    """
    array = _as_numpy(photo, row)
    if array.ndim == 3 and array.shape[2] not in CHANNELS and array.shape[0] in CHANNELS:
        array = array.transpose(1, 2, 0)  # as torch has it
    if array.ndim == 3 and array.shape[2] not in CHANNELS:
        raise TypeError(f"photo {row} is {_described(array)}; needed is {_WANTED}")
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    return array if array.dtype == np.uint8 else _to_bytes(array, row)


def _to_bytes(array: NDArray[Any], row: int) -> NDArray[np.uint8]:
    """Return floats in [0, 1], or any numbers in [0, 255], as uint8."""
    if array.dtype.kind not in "fiu" or not array.size:
        raise TypeError(f"photo {row} is an array of {array.dtype}; needed is {_WANTED}")
    low, high = float(array.min()), float(array.max())
    if not (low >= 0 and high <= 255):  # also where one is no number
        raise TypeError(
            f"photo {row} is an array of {array.dtype} with values from {low:g} to {high:g}; "
            "give uint8, or floats in [0, 1] before any normalisation"
        )
    scale = 255 if array.dtype.kind == "f" and high <= 1 else 1
    return np.rint(array.astype(np.float32) * scale).astype(np.uint8)
