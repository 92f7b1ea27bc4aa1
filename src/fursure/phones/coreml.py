"""An ONNX network → a Core ML package, and what computes by it on a machine without Core ML.

Core ML takes no bytes: its `pixels` are the same whole numbers as fp32.
"""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from fursure.engine.runtime import OnnxRuntime, Outputs, Pixels
from fursure.phones.apple import Builder, coremltools, hushed, load
from fursure.phones.mil import outputs_of
from fursure.phones.readback import onnx_of
from fursure.phones.straight import Straight

PACKAGE_NAME = "model.mlpackage"
_SYSTEM = coremltools.target.iOS16  # the first that keeps weights in fp16 and computes in fp32


def coreml_package(network: Straight) -> dict[str, bytes]:
    """Return the files of a package, by their paths in it.

    Raises:
        ExportFailed: an operator in it has no translation.
    """
    pixels = Builder.TensorSpec(shape=network.shapes["pixels"])

    @Builder.program(input_specs=[pixels], opset_version=_SYSTEM)  # type: ignore[untyped-decorator]
    def program(pixels: Any) -> Any:
        return outputs_of(network, pixels)

    with hushed():
        model = coremltools.convert(
            program,
            convert_to="mlprogram",
            compute_precision=coremltools.precision.FLOAT32,
            minimum_deployment_target=_SYSTEM,
            pass_pipeline=coremltools.PassPipeline.EMPTY,  # constants in fp16 would be widened
            skip_model_load=True,
        )
    model.user_defined_metadata.update(network.notes)
    with TemporaryDirectory() as folder:
        path = Path(folder) / PACKAGE_NAME
        model.save(str(path))
        places = (place for place in sorted(path.rglob("*")) if place.is_file())
        return {place.relative_to(path).as_posix(): place.read_bytes() for place in places}


class ReadBack:
    """A Core ML package as it lies on disk, computed by ONNX Runtime.

    It shows that the right numbers stand in the right operators; that Core ML means by an operator
    what its documentation says can be seen on Apple's machines alone.
    """

    def __init__(self, package: Mapping[str, bytes]) -> None:
        with TemporaryDirectory() as folder, hushed():
            path = Path(folder) / PACKAGE_NAME
            for name, data in package.items():
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                (path / name).write_bytes(data)
            model = coremltools.models.MLModel(str(path), skip_model_load=True)
            spec = model.get_spec()
            program = load(spec, spec.specificationVersion, model.weights_dir)
            self._session = OnnxRuntime(onnx_of(program), threads=1)

    def __call__(self, pixels_NHWC: Pixels) -> Outputs:
        """Return every output for as many photos as the model takes."""
        return self._session(pixels_NHWC.astype(np.float32))
