"""The page's own WebAssembly against ONNX Runtime, on the same pixels."""

from pathlib import Path

import numpy as np
import pytest
from javascript import Node

from fursure.bundle.named import find_model
from fursure.engine.predictor import Predictor
from fursure.engine.runtime import OnnxRuntime
from fursure.exporting.halves import halved

ANSWERED = """
const { ownNetwork } = await import("./network.js");
const network = await ownNetwork(bytes(given.network), given.size);
if (!network) return null;
const { probs, features, heat } = network.run(bytes(given.pixels));
return { probs: [...probs], features: [...features], heat: [...heat.data] };
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Node:
    return Node.found(tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def pets() -> Predictor:
    return Predictor.open(find_model("pets"), engine="onnxruntime", threads=1)


@pytest.mark.parametrize("precision", ["fp32", pytest.param("fp16", marks=pytest.mark.long)])
def test_our_own_webassembly_answers_as_onnx_runtime(
    node: Node, pets: Predictor, tmp_path: Path, precision: str
) -> None:
    network = pets.bundle.model if precision == "fp32" else halved(pets, batch=1)[0]
    (tmp_path / "model.onnx").write_bytes(network)
    size = pets.bundle.meta.preprocess.size
    noise_HWC = np.random.default_rng(3).integers(0, 256, (size, size, 3), np.uint8)
    session = OnnxRuntime(network, threads=1)
    for pixels_HWC in (*pets.bundle.golden.pixels_NHWC, noise_HWC):
        (tmp_path / "pixels").write_bytes(pixels_HWC.tobytes())
        case = {"network": str(tmp_path / "model.onnx"), "pixels": str(tmp_path / "pixels")}
        (answer,) = node(ANSWERED, case | {"size": size})
        for name, values in session(pixels_HWC[None]).items():
            if name in answer:
                assert answer[name] == pytest.approx(np.ravel(values).tolist(), abs=3e-5), name


def test_a_network_of_other_layers_is_left_to_onnxruntime_web(
    node: Node, pets: Predictor, tmp_path: Path
) -> None:
    (tmp_path / "model.onnx").write_bytes(pets.bundle.model.replace(b"ReduceMean", b"ReduceLess"))
    (tmp_path / "pixels").write_bytes(b"")
    case = {"network": str(tmp_path / "model.onnx"), "pixels": str(tmp_path / "pixels")}
    assert node(ANSWERED, case | {"size": 224}) == [None]
