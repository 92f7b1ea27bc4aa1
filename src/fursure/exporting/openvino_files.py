"""A model → OpenVINO's own files, converted by OpenVINO and read back by it."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from fursure.engine.libraries import openvino
from fursure.engine.openvino import core, installed_version
from fursure.engine.runtime import Outputs, Pixels
from fursure.errors import ExportFailed, MissingExtra
from fursure.exporting.plain import belongings, readme
from fursure.exporting.ported import Ported


def openvino_files(made: Ported) -> dict[str, bytes]:
    """Return model.xml and model.bin with what else another program needs.

    Raises:
        ExportFailed: OpenVINO cannot convert the network, or answers otherwise by it.
        MissingExtra: OpenVINO is not installed.
    """
    if installed_version() is None:
        raise MissingExtra("exporting to OpenVINO", "fast")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.xml"
        _convert(made.onnx, path)
        made.check(f"OpenVINO {installed_version()}", lambda: _Compiled(path))
        network = {name: (path.parent / name).read_bytes() for name in ("model.xml", "model.bin")}
    return {**network, **belongings(made, "OpenVINO"), "README.md": readme(made, "openvino.md")}


def _convert(network: bytes, path: Path) -> None:
    """Write what OpenVINO makes of a network; weights stored in fp16 stay so."""
    try:
        openvino().save_model(core().read_model(network, b""), str(path), compress_to_fp16=False)
    except Exception as error:  # RuntimeError and others of its own
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1][:300]
        raise ExportFailed(f"OpenVINO cannot convert this network ({reason}).") from error


class _Compiled:
    """The files as another program opens them, in fp32."""

    def __init__(self, path: Path) -> None:
        graph = core().read_model(str(path))
        self._names = [output.get_any_name() for output in graph.outputs]
        self._request: Any = (
            core()
            .compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
            .create_infer_request()
        )

    def __call__(self, pixels_NHWC: Pixels) -> Outputs:
        self._request.set_input_tensor(openvino().Tensor(np.ascontiguousarray(pixels_NHWC)))
        self._request.infer()
        return {
            name: np.array(self._request.get_output_tensor(row).data, np.float32)
            for row, name in enumerate(self._names)
        }
