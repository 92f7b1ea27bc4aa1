"""Weights that lie beside an ONNX file, as exports of the hub have them → weights in the graph."""

from pathlib import Path

import onnx
from onnx.external_data_helper import ExternalDataInfo

from fursure.errors import BadBackbone


def weights_beside(name: str) -> str:
    """Return what the file with the weights of the graph ``name`` is called."""
    return f"{name}_data"


def take_in(model: onnx.ModelProto, path: Path) -> None:
    """Put the weights into the graph that lie in the one file beside ``path`` that may hold them.

    Any other file that the graph names stays unread.

    Raises:
        BadBackbone: they are not wholly there.
    """
    beside = path.with_name(weights_beside(path.name))
    if not beside.is_file():
        return
    data = memoryview(beside.read_bytes())
    for tensor in model.graph.initializer:
        if not tensor.external_data:
            continue
        info = ExternalDataInfo(tensor)
        if info.location != beside.name:
            continue
        start = info.offset or 0
        end = len(data) if info.length is None else start + info.length
        if not 0 <= start <= end <= len(data):
            raise BadBackbone(
                f"{beside} has {len(data)} bytes and {tensor.name} of {path.name} would end at "
                f"{end}; copy both again."
            )
        tensor.raw_data = bytes(data[start:end])
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]
