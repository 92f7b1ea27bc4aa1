"""A plain ONNX network, as others export them → an encoder graph, its normalisation inside.

Dimension key: N photos, T tokens, D features, C colour, H W height and width (pixels), h w map
cells.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fursure.errors import BadBackbone
from fursure.graphs.external import take_in
from fursure.graphs.graph import OPSET, cut_to, opset_of
from fursure.graphs.tensors import has_control_flow
from fursure.photos.preprocess import Preprocess

POOLED = ("pooler_output", "image_embeds")  # transformers' names of a photo's one row (N,D)
LAST_STATE = "last_hidden_state"  # and of its tokens (N,T,D), or its map (N,D,h,w)
_TOKENS = "pooled.tokens"  # turned, (N,D,T)


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
        take_in(model, path)
    if any(tensor.external_data for tensor in model.graph.initializer):
        raise BadBackbone(f"{path} keeps its weights in another file; save it as one file.")
    if may_never_end:
        raise BadBackbone(
            f"{path} holds a Loop, Scan or If, which may never end; export the network without "
            "control flow."
        )
    return model


def from_normalised(
    model: onnx.ModelProto,
    preprocess: Preprocess,
    *,
    features: str | None,
    name: str,
    photo_token: bool = False,
) -> bytes:
    """Return the encoder graph of a plain ONNX network (float N,C,H,W, normalised, in).

    ``features`` names the tensor to take; otherwise it is the network's own summary of a photo,
    where it has an output of that name (`POOLED`), else of its last tokens or its last map the
    mean, or the first token where ``photo_token``, else the input of the last Gemm.

    Raises:
        BadBackbone: there is no such tensor, or the network is not valid or takes other inputs.
    """
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1 or len(inputs[0].type.tensor_type.shape.dim) != 4:
        raise BadBackbone(f"{name} needs one input of shape N,3,H,W and has {len(inputs)} inputs.")
    tensor, pooling = _features(model, features, name, photo_token=photo_token)
    flat = _flat(model, tensor)
    nodes = [
        helper.make_node("Cast", ["pixels"], ["pixels.float"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["pixels.float", "pixels.mean"], ["pixels.centred"]),
        helper.make_node("Mul", ["pixels.centred", "pixels.scale"], ["pixels.scaled"]),
        helper.make_node("Transpose", ["pixels.scaled"], [inputs[0].name], perm=[0, 3, 1, 2]),
        *graph.node,
        *pooling,
        helper.make_node("Flatten", [tensor], ["features"], axis=1)
        if not flat
        else helper.make_node("Identity", [tensor], ["features"]),
    ]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend(
        [
            numpy_helper.from_array(np.array(0), "pooled.first"),
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
    source = _pooled_map(model, tensor)
    if source not in {None, _TOKENS}:  # tokens lie in one row, no map
        graph.node.append(helper.make_node("Identity", [source], ["map"]))
        outputs.append("map")
    try:
        encoder = cut_to(model, outputs)
        return _drawable(encoder) if len(outputs) > 1 else encoder
    except onnx.checker.ValidationError as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise BadBackbone(f"{name} is no valid network ({reason}); export it again.") from error


def _drawable(encoder: bytes) -> bytes:
    """Return the encoder in an operator set that can draw where it looked; else without its map."""
    model = onnx.load_from_string(encoder)
    if opset_of(model) >= OPSET:
        return encoder
    try:
        return cut_to(onnx.version_converter.convert_version(model, OPSET), ["features", "map"])
    except Exception:
        return cut_to(model, ["features"])


def _features(
    model: onnx.ModelProto, asked: str | None, name: str, *, photo_token: bool
) -> tuple[str, list[onnx.NodeProto]]:
    """Return the tensor with the features, and the nodes that make it where the network does not.

    Those nodes are of every operator set.
    """
    made = {output for node in model.graph.node for output in node.output}
    if asked is not None:
        if asked in made:
            return asked, []
        near = ", ".join(sorted(made)[-5:])
        raise BadBackbone(f"{name} has no tensor {asked!r}; the last ones are {near}.")
    axes = {out.name: len(out.type.tensor_type.shape.dim) for out in model.graph.output}
    if pooled := next((output for output in POOLED if output in axes), None):
        return pooled, []
    match axes.get(LAST_STATE):
        case 3 if photo_token:
            first = helper.make_node(
                "Gather", [LAST_STATE, "pooled.first"], ["pooled.token"], axis=1
            )
            return "pooled.token", [first]
        case 3:
            turned = helper.make_node("Transpose", [LAST_STATE], [_TOKENS], perm=[0, 2, 1])
            mean = helper.make_node("GlobalAveragePool", [_TOKENS], ["pooled.mean"])
            return "pooled.mean", [turned, mean]
        case 4:
            mean = helper.make_node("GlobalAveragePool", [LAST_STATE], ["pooled.mean"])
            return "pooled.mean", [mean]
    for node in reversed(model.graph.node):
        if node.op_type in {"Gemm", "MatMul"}:
            return str(node.input[0]), []
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
