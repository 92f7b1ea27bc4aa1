"""Arrays ↔ an .npz, as NumPy writes one, read without ever running what it says.

NumPy's own reader takes the header of an array for Python and allocates what that asks for. Here a
header is text of one form, and the bytes behind it have to be as many as it says.
"""

import io
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fursure.stored import opened

MOST_ARRAYS = 32
_KINDS = ("|u1", "|i1", "<u8", "<i8", "<f2", "<f4", "<f8")
MAGIC = b"\x93NUMPY\x01\x00"  # version 1.0; what has no fields and few axes needs no later one
_HEADER = re.compile(
    rb"\{'descr': '([|<][uif][1248])', 'fortran_order': (True|False), "
    rb"'shape': \(((?:\d{1,12}(?:, \d{1,12})*,?)?)\), \} *\n"
)


def packed(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return the arrays as an .npz without a clock in it (NumPy's own has none: 1980).

    Raises:
        ValueError: one of them holds Python objects, which would become a pickle.
    """
    if any(array.dtype.hasobject for array in arrays.values()):
        raise ValueError("an array holds Python objects; numbers are needed")
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]  # older versions know no allow_pickle
    return buffer.getvalue()


def unpacked(data: bytes) -> dict[str, NDArray[Any]]:
    """Return the arrays of an uncompressed .npz; they are views of ``data``, not to be changed.

    Raises:
        ValueError: it is compressed, or an array is not what its header says.
        zipfile.BadZipFile: it is no zip.
    """
    with opened(io.BytesIO(data), most=MOST_ARRAYS) as archive:
        return {
            name.removesuffix(".npy"): _array(archive.read(name)) for name in archive.namelist()
        }


def _array(data: bytes) -> NDArray[Any]:
    size = int.from_bytes(data[8:10], "little")
    header, body = data[10 : 10 + size], data[10 + size :]
    match = _HEADER.fullmatch(header) if data.startswith(MAGIC) else None
    if match is None or match[1].decode() not in _KINDS:
        raise ValueError("an array in it is of no kind that a bundle holds (a pickle, perhaps)")
    dtype = np.dtype(match[1].decode())
    shape = tuple(int(side) for side in match[3].decode().split(",") if side.strip())
    if math.prod(shape) * dtype.itemsize != len(body):
        raise ValueError(f"an array in it has {len(body)} bytes, unlike its shape {shape}")
    order: Any = "F" if match[2] == b"True" else "C"
    return np.frombuffer(body, dtype).reshape(shape, order=order)
