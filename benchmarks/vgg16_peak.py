"""VGG16 through the engine against what the chip multiplies at best, in one run.

    python -m benchmarks.vgg16_peak

The peak is a stack of 3x3 convolutions of 256 channels on 56 x 56 cells, where nothing but the
multiplications takes time; VGG16 has 15.5 G of them a photo at 224 px (30.9 GFLOP), with random
weights, which cost what trained ones do.
"""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from fursure.engine.openvino import OpenVino
from fursure.engine.runtime import BATCH
from fursure.run import available_threads

BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # channels, convolutions (table 1, D)
SECONDS = 10.0  # of measuring, each


def stack(side: int, layers: list[int | None], within: int) -> tuple[bytes, float]:
    """Return a network of convolutions (a width) and poolings (None), and its GFLOP a photo."""
    generator = np.random.default_rng(0)
    nodes = [
        helper.make_node("Cast", ["pixels"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["x0"], perm=[0, 3, 1, 2]),
    ]
    tensors, cells, work = [], side, 0.0
    for number, width in enumerate(layers):
        x, y = f"x{number}", f"x{number + 1}"
        if width is None:
            halving = [2, 2]
            nodes.append(
                helper.make_node("MaxPool", [x], [y], kernel_shape=halving, strides=halving)
            )
            cells //= 2
            continue
        scale = np.sqrt(2 / (9 * within))
        kernel = generator.normal(0, scale, (width, within, 3, 3)).astype(np.float32)
        tensors.append(numpy_helper.from_array(kernel, f"w{number}"))
        nodes.append(helper.make_node("Conv", [x, f"w{number}"], [f"c{number}"], pads=[1] * 4))
        nodes.append(helper.make_node("Relu", [f"c{number}"], [y]))
        work += 2 * 9 * within * width * cells * cells / 1e9
        within = width
    nodes.append(helper.make_node("GlobalAveragePool", [f"x{len(layers)}"], ["pooled"]))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["features"]))
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", side, side, 3])
    features = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", within])
    graph = helper.make_graph(nodes, "stack", [pixels], [features], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(model.SerializeToString()), work


def gigaflops(model: bytes, work: float, side: int) -> float:
    """Return GFLOP/s of a network, batches of photos on every core."""
    threads = available_threads()
    session = OpenVino(model, threads=threads)
    batch: NDArray[np.uint8] = np.random.default_rng(0).integers(
        0, 256, (BATCH, side, side, 3), dtype=np.uint8
    )
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(session, [batch] * threads))
        done, began = 0, time.perf_counter()
        while time.perf_counter() - began < SECONDS:
            list(pool.map(session, [batch] * 2 * threads))
            done += 2 * threads * BATCH
        return done * work / (time.perf_counter() - began)


def main() -> None:
    """Print both rates and their ratio."""
    peak = gigaflops(*stack(56, [256] * 12, 3), 56)
    layers = [one for width, count in BLOCKS for one in [*[width] * count, None]]
    model, work = stack(224, layers, 3)
    found = gigaflops(model, work, 224)
    print(f"peak {peak:.0f} GFLOP/s; VGG16 {found:.0f} GFLOP/s, {found / work:.1f} photos/s")
    print(f"VGG16 reaches {found / peak:.0%} of the peak")


if __name__ == "__main__":
    main()
