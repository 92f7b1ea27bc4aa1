"""Encoder + head + calibration → one ONNX graph, and a graph → the encoder inside it.

An encoder graph turns `pixels` (uint8 N,H,W,3) into `features` (N,D) and, where the network has
one, `map` (N,D,h,w), the last feature map, whose mean over h,w the features are. The graph of a
bundle adds `logits` (N,K), calibrated `probs` (N,K) and, for a linear head on a map, `heat`
(N,h,w): the class activation map of the top class (Zhou et al., CVPR 2016), whose mean is that
class's logit above the average class's, less the bias.

Dimension key: N photos, D features, K classes, H W height and width (pixels), h w map cells.
"""

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fursure.errors import MissingExtra
from fursure.graphs.layers import Layers
from fursure.photos.preprocess import Preprocess

try:
    import onnx
    from onnx import TensorProto, helper, numpy_helper
except ImportError as error:
    raise MissingExtra("training a model", "train") from error

OPSET = 18  # of ONNX: the first whose Split needs no sizes
IR_VERSION = 10  # read by every ONNX Runtime from 1.18 on
AXES = {"features": ["N", "D"], "map": ["N", "D", "h", "w"]}  # of an encoder's outputs
HALF_FROM = 64  # elements; smaller tensors (biases, scales) stay exact in half-precision storage


def attach_head(
    encoder: bytes,
    head: Layers,
    temperature: float,
    *,
    labels: Sequence[str],
    preprocess: Preprocess,
) -> bytes:
    """Return the whole graph, from pixels to calibrated probabilities."""
    model = onnx.load_from_string(encoder)
    graph = model.graph
    has_map = any(output.name == "map" for output in graph.output)
    nodes: list[onnx.NodeProto] = []
    consts: dict[str, NDArray[np.generic]] = {}

    below = "features"
    for number, layer in enumerate(head.dense):
        last = number == len(head.dense) - 1
        out = "logits" if last else f"head.hidden{number}"
        consts |= {f"head.weight{number}": layer.weight_DK, f"head.bias{number}": layer.bias_K}
        names = [below, f"head.weight{number}", f"head.bias{number}"]
        nodes.append(helper.make_node("Gemm", names, [out if last else f"{out}.sum"]))
        if not last:
            nodes.append(helper.make_node("Relu", [f"{out}.sum"], [out]))
        below = out
    consts["head.inverse_temperature"] = np.array([1 / temperature], np.float32)
    nodes += [
        helper.make_node("Mul", ["logits", "head.inverse_temperature"], ["head.calibrated"]),
        helper.make_node("Softmax", ["head.calibrated"], ["probs"], axis=1),
    ]
    if has_map and len(head.dense) == 1:
        weight_KD = head.dense[0].weight_DK.T
        consts |= {
            "heat.weight": np.ascontiguousarray(weight_KD - weight_KD.mean(axis=0)),
            "heat.axis": np.array([1], np.int64),
            "heat.flat": np.array([-1], np.int64),
        }
        nodes += _heat()

    graph.node.extend(nodes)
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in consts.items())
    del graph.output[:]
    shapes: dict[str, list[str | int]] = {
        "probs": ["N", len(labels)],
        "logits": ["N", len(labels)],
        "features": ["N", head.dense[0].weight_DK.shape[0]],
    }
    if "heat.weight" in consts:
        shapes["heat"] = ["N", "h", "w"]
    graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    )
    graph.name = "fursure"
    note = {"labels": list(labels), "preprocess": preprocess.to_json()}
    return _finished(model, {name: json.dumps(value) for name, value in note.items()})


def _heat() -> list[onnx.NodeProto]:
    """Return the nodes of the class activation map: the top class's weights times the map."""
    return [
        helper.make_node("ArgMax", ["logits"], ["heat.top"], axis=1, keepdims=0),
        helper.make_node("Gather", ["heat.weight", "heat.top"], ["heat.row"]),  # (N, D)
        helper.make_node("Unsqueeze", ["heat.row", "heat.axis"], ["heat.row1"]),  # (N, 1, D)
        helper.make_node("Shape", ["map"], ["heat.shape"]),
        helper.make_node("Split", ["heat.shape"], ["heat.nd", "heat.hw"], num_outputs=2),
        helper.make_node("Split", ["heat.nd"], ["heat.n", "heat.d"], num_outputs=2),
        helper.make_node("Concat", ["heat.nd", "heat.flat"], ["heat.ndc"], axis=0),
        helper.make_node("Reshape", ["map", "heat.ndc"], ["heat.map"]),  # (N, D, h * w)
        helper.make_node("MatMul", ["heat.row1", "heat.map"], ["heat.mixed"]),  # (N, 1, h * w)
        helper.make_node("Concat", ["heat.n", "heat.hw"], ["heat.nhw"], axis=0),
        helper.make_node("Reshape", ["heat.mixed", "heat.nhw"], ["heat"]),
    ]


def encoder_of(model_bytes: bytes) -> bytes:
    """Return the encoder inside a bundle's graph: everything `features` and `map` need."""
    model = onnx.load_from_string(model_bytes)
    made = {name for node in model.graph.node for name in node.output}
    outputs = [name for name in ("features", "map") if name in made]
    return cut_to(model, outputs)


def cut_to(model: onnx.ModelProto, outputs: Sequence[str]) -> bytes:
    """Return the part of ``model`` that the encoder's ``outputs`` depend on."""
    graph = model.graph
    wanted, kept = set(outputs), []
    for node in reversed(graph.node):  # ONNX keeps nodes in topological order
        if wanted & set(node.output):
            kept.append(node)
            wanted |= set(node.input)
    del graph.node[:]
    graph.node.extend(reversed(kept))
    constants = [tensor for tensor in graph.initializer if tensor.name in wanted]
    del graph.initializer[:]
    graph.initializer.extend(constants)
    del graph.value_info[:]
    del graph.output[:]
    graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, AXES[name]) for name in outputs
    )
    del model.metadata_props[:]
    return _finished(model, {})


def half_precision(model_bytes: bytes, *, smallest: int = HALF_FROM) -> bytes:
    """Return the graph with matrices of ``smallest`` elements and more in fp16, computed in fp32.

    A cast in front of each use restores fp32; engines fold it away when they load the model.
    """
    model = onnx.load_from_string(model_bytes)
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < smallest:
            continue
        value = numpy_helper.to_array(tensor)
        if len(tensor.dims) < 2 or np.abs(value).max() > np.finfo(np.float16).max:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(value.astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend(casts + nodes)
    return _finished(model, {})


def tidied(model_bytes: bytes) -> bytes:
    """Return a graph that another tool made: checked, without notes that vary from run to run."""
    model = onnx.load_from_string(model_bytes)
    del model.graph.value_info[:]
    return _finished(model, {})


def at_size(encoder: bytes, size: int) -> bytes:
    """Return the encoder graph for photos of ``size`` pixels; its layers have to take any size."""
    model = onnx.load_from_string(encoder)
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", size, size, 3])
    model.graph.input[0].CopyFrom(pixels)
    return _finished(model, {})


def opset_of(model: onnx.ModelProto) -> int:
    """Return the version of ONNX's own operators that a model is written in."""
    return max(
        int(opset.version) for opset in model.opset_import if opset.domain in {"", "ai.onnx"}
    )


def _finished(model: onnx.ModelProto, note: dict[str, str]) -> bytes:
    """Return the model as bytes: checked, without provenance strings that vary from run to run."""
    model.producer_name, model.producer_version, model.doc_string = "fursure", "", ""
    model.ir_version = min(model.ir_version, IR_VERSION) if model.ir_version else IR_VERSION
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    del model.metadata_props[:]
    helper.set_model_props(model, note)
    data = bytes(model.SerializeToString(deterministic=True))
    onnx.checker.check_model(data)  # which would make bytes of it once more
    return data
