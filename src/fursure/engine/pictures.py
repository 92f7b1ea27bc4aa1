"""One photo, as a program holds it → its name with a path, bytes, a Pillow image or uint8 pixels.

Whatever has ``.read()`` is a photo, and so is an array. What is none is a `TypeError` at once: no
row of answers is the place for a mistake in a program.
"""

from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fursure.errors import BadImage
from fursure.photos.decode import LIMITS

CHANNELS = frozenset({1, 3, 4})  # grey, RGB, RGBA
WANTED = (
    "a path, bytes, an open binary file, a Pillow image, an array or a tensor (height, width, "
    "channels) of uint8 or of floats in [0, 1], or an iterable of these"
)


def named_photo(photo: Any, row: int = 0) -> tuple[str, Any]:
    """Return one photo with its name: its path, else its number.

    Raises:
        TypeError: it is no photo.
    """
    check_photo(photo, row)
    if isinstance(photo, str | PathLike):
        return str(photo), photo
    if isinstance(photo, bytearray | memoryview):
        return f"photo {row}", bytes(photo)
    if callable(getattr(photo, "read", None)) and not isinstance(photo, Image.Image):
        return _read(photo, row)
    return f"photo {row}", _pixels(photo, row) if is_array(photo) else photo


def is_single(photo: Any) -> bool:
    """Return whether it can only be one photo, whatever is in it."""
    if isinstance(photo, type):
        return False
    kinds = (str, PathLike, bytes, bytearray, memoryview, Image.Image)
    return isinstance(photo, kinds) or callable(getattr(photo, "read", None))


def is_array(photo: Any) -> bool:
    """Return whether it is an array or a tensor of whatever library; a Series of pandas is."""
    return not isinstance(photo, type) and all(
        hasattr(photo, name) for name in ("shape", "dtype", "ndim")
    )


def check_photo(photo: Any, row: int) -> None:
    """Refuse what is no photo, without decoding anything.

    Raises:
        TypeError: it is none, by its kind, its shape or the range of its numbers.
    """
    if is_single(photo):
        return
    if not (is_array(photo) and photo.ndim in {2, 3}):
        raise TypeError(f"photo {row} is {kind_of(photo)}; needed is {WANTED}")
    _checked(photo, row)


def kind_of(photo: Any) -> str:
    """Return the kind of a thing in words, with the shape of an array."""
    if isinstance(photo, type):
        return f"the class {photo.__name__}"
    kind = type(photo).__name__
    article = "an" if kind[0] in "aeioAEIO" else "a"
    shape = f" of shape {tuple(photo.shape)}" if is_array(photo) else ""
    return f"{article} {kind}{shape}"


def as_numpy(photo: Any, row: int) -> NDArray[Any]:
    """Return an array in this process's memory, out of whatever library and device."""
    if hasattr(photo, "detach"):
        photo = photo.detach().cpu()
        if "bfloat16" in str(photo.dtype):  # which NumPy does not have
            photo = photo.float()
    try:
        return np.asarray(photo)
    except Exception as error:  # each library raises its own
        raise TypeError(f"photo {row} is {kind_of(photo)}, no array: {error}") from None


def _read(file: Any, row: int) -> tuple[str, bytes | BadImage]:
    """Return the bytes of an open file from where it stands; one more than the limit tells."""
    name = getattr(file, "name", None)
    name = name if isinstance(name, str) else f"photo {row}"
    try:
        data = file.read(LIMITS.bytes + 1)
    except OSError as error:  # a disk, a connection: no mistake in a program
        return name, BadImage(name, f"cannot be read: {error}")
    except Exception as error:
        raise TypeError(f"photo {row} is {kind_of(file)} that cannot be read: {error}") from None
    if not isinstance(data, bytes | bytearray):
        raise TypeError(
            f"photo {row} is a file that gives {type(data).__name__}; open it with mode 'rb'"
        )
    return name, bytes(data)


def _pixels(photo: Any, row: int) -> NDArray[np.uint8]:
    """Return an array as uint8, (H, W) or (H, W, C).

    Floats in [0, 1] are spread to 255; any other numbers in [0, 255] are taken as they are.
    """
    array = _checked(photo, row)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.dtype == np.uint8:
        return array
    scale = 255 if array.dtype.kind == "f" and float(array.max()) <= 1 else 1
    return np.rint(array.astype(np.float32) * scale).astype(np.uint8)


def _checked(photo: Any, row: int) -> NDArray[Any]:
    """Return a photo's array, (H, W) or (H, W, C), with numbers that can be a photo's.

    Raises:
        TypeError: its shape or its values are no photo's.
    """
    array = as_numpy(photo, row)
    if array.ndim == 3 and _channels_first(array):
        if not hasattr(photo, "detach"):  # torch has them so
            raise TypeError(
                f"photo {row} is {kind_of(array)}, channels first; give array.transpose(1, 2, 0),"
                " or of a batch (N, C, H, W) array.transpose(0, 2, 3, 1)"
            )
        array = array.transpose(1, 2, 0)
    if array.ndim == 3 and array.shape[2] not in CHANNELS:
        raise TypeError(f"photo {row} is {kind_of(array)}; needed is {WANTED}")
    if array.dtype.kind not in "fiu" or not array.size:
        raise TypeError(
            f"photo {row} is an array of {array.dtype} of shape {array.shape}; needed is {WANTED}"
        )
    if array.dtype != np.uint8:
        _check_range(array, row)
    return array


def _channels_first(array: NDArray[Any]) -> bool:
    return array.shape[2] not in CHANNELS and array.shape[0] in CHANNELS


def _check_range(array: NDArray[Any], row: int) -> None:
    low, high = float(array.min()), float(array.max())
    if not (low >= 0 and high <= 255):  # also where one is no number
        raise TypeError(
            f"photo {row} is an array of {array.dtype} with values from {low:g} to {high:g}; "
            "give uint8, or floats in [0, 1] before any normalisation"
        )
