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
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fursure.errors import BadBackbone, MissingExtra
from fursure.graphs.layers import Layers
from fursure.graphs.tensors import has_control_flow
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
    return _cut(model, outputs)


def _cut(model: onnx.ModelProto, outputs: Sequence[str]) -> bytes:
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


def parsed_graph(data: bytes, path: Path) -> onnx.ModelProto:
    """Return the network in the bytes of the file ``path``.

    Raises:
        BadBackbone: it is no ONNX file, or one whose weights lie elsewhere, or that may never end.
    """
    try:
        model = onnx.load_from_string(data)
        may_never_end = has_control_flow(data)  # it reads more strictly than protobuf does
    except Exception as error:  # protobuf's DecodeError and whatever else a random file provokes
        raise BadBackbone(
            f"{path} is not an ONNX file: {error}; copy or export it again."
        ) from error
    if any(tensor.external_data for tensor in model.graph.initializer):
        raise BadBackbone(f"{path} keeps its weights in another file; save it as one file.")
    if may_never_end:
        raise BadBackbone(
            f"{path} holds a Loop, Scan or If, which may never end; export the network without "
            "control flow."
        )
    return model


def from_normalised(
    model: onnx.ModelProto, preprocess: Preprocess, *, features: str | None, name: str
) -> bytes:
    """Return the encoder graph of a plain ONNX network (float N,C,H,W, normalised, in).

    ``features`` names the tensor to take; otherwise it is the input of the last Gemm.

    Raises:
        BadBackbone: there is no such tensor, or the network is not valid or takes other inputs.
    """
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1 or len(inputs[0].type.tensor_type.shape.dim) != 4:
        raise BadBackbone(f"{name} needs one input of shape N,3,H,W and has {len(inputs)} inputs.")
    tensor = _features(model, features, name)
    flat = _flat(model, tensor)
    nodes = [
        helper.make_node("Cast", ["pixels"], ["pixels.float"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["pixels.float", "pixels.mean"], ["pixels.centred"]),
        helper.make_node("Mul", ["pixels.centred", "pixels.scale"], ["pixels.scaled"]),
        helper.make_node("Transpose", ["pixels.scaled"], [inputs[0].name], perm=[0, 3, 1, 2]),
        *graph.node,
        helper.make_node("Flatten", [tensor], ["features"], axis=1)
        if not flat
        else helper.make_node("Identity", [tensor], ["features"]),
    ]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend(
        [
            numpy_helper.from_array(np.array(preprocess.mean, np.float32) * 255, "pixels.mean"),
            numpy_helper.from_array(
                1 / (np.array(preprocess.std, np.float32) * 255), "pixels.scale"
            ),
        ]
    )
    size = preprocess.size
    del graph.input[:]
    graph.input.append(
        helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", size, size, 3])
    )
    outputs = ["features"]
    if (source := _pooled_map(model, tensor)) is not None:
        graph.node.append(helper.make_node("Identity", [source], ["map"]))
        outputs.append("map")
    try:
        return _cut(model, outputs)
    except onnx.checker.ValidationError as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise BadBackbone(f"{name} is no valid network ({reason}); export it again.") from error


def _features(model: onnx.ModelProto, asked: str | None, name: str) -> str:
    made = {output for node in model.graph.node for output in node.output}
    if asked is not None:
        if asked in made:
            return asked
        near = ", ".join(sorted(made)[-5:])
        raise BadBackbone(f"{name} has no tensor {asked!r}; the last ones are {near}.")
    for node in reversed(model.graph.node):
        if node.op_type in {"Gemm", "MatMul"}:
            return str(node.input[0])
    raise BadBackbone(f"{name} has no dense layer at its end; name the tensor: --features-output.")


def _flat(model: onnx.ModelProto, tensor: str) -> bool:
    """Return whether ``tensor`` is already N,D (a Flatten or Reshape made it)."""
    maker = next((node for node in model.graph.node if tensor in node.output), None)
    return maker is not None and maker.op_type in {
        "Flatten",
        "Reshape",
        "Squeeze",
        "Gemm",
        "MatMul",
    }


def _pooled_map(model: onnx.ModelProto, tensor: str) -> str | None:
    """Return the feature map that ``tensor`` is the mean of, if it is one."""
    makers = {output: node for node in model.graph.node for output in node.output}
    while (node := makers.get(tensor)) is not None:
        match node.op_type:
            case "GlobalAveragePool" | "ReduceMean":
                return str(node.input[0])
            case "Flatten" | "Reshape" | "Squeeze" | "Identity" | "Dropout":
                tensor = node.input[0]
            case _:
                return None
    return None


def _finished(model: onnx.ModelProto, note: dict[str, str]) -> bytes:
    """Return the model as bytes: checked, without provenance strings that vary from run to run."""
    model.producer_name, model.producer_version, model.doc_string = "fursure", "", ""
    model.ir_version = min(model.ir_version, IR_VERSION) if model.ir_version else IR_VERSION
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    del model.metadata_props[:]
    helper.set_model_props(model, note)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))
