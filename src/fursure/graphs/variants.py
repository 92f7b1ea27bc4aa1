"""A bundle's graph → the same with another encoder, a fixed batch or another opset."""

import onnx
from onnx import helper, version_converter

from fursure.errors import ExportFailed
from fursure.graphs.graph import OPSET, encoder_of


def leading_layers(encoder: bytes, share: float) -> list[str]:
    """Return the names of the nodes in front of the convolutions that a ``share`` leaves over."""
    nodes = onnx.load_from_string(encoder).graph.node
    layers = [row for row, node in enumerate(nodes) if node.op_type == "Conv"]
    first = layers[int(share * len(layers))] if layers else 0
    return [node.name for node in nodes[:first]]


def with_encoder(model_bytes: bytes, encoder: bytes) -> bytes:
    """Return the graph with ``encoder`` in the place of its own; what comes after is as it was."""
    model, other = onnx.load_from_string(model_bytes), onnx.load_from_string(encoder)
    own = onnx.load_from_string(encoder_of(model_bytes)).graph
    inside = {name for node in own.node for name in node.output}
    after = [node for node in model.graph.node if not inside.intersection(node.output)]
    needed = {name for node in after for name in node.input}
    constants = [tensor for tensor in model.graph.initializer if tensor.name in needed]
    _replace(model.graph.node, [*other.graph.node, *after])
    _replace(model.graph.initializer, [*other.graph.initializer, *constants])
    for opset in other.opset_import:  # a domain of its own, of whoever rounded it
        if opset.domain not in {known.domain for known in model.opset_import}:
            model.opset_import.append(opset)
    return _checked(model)


def plane_by_plane(model_bytes: bytes) -> bytes:
    """Return the graph with pixels normalised after they are turned into planes, not before.

    The answers are the same to the bit. ONNX Runtime goes through three numbers at a time where
    the colours come last, and through a plane where they come first.
    """
    model = onnx.load_from_string(model_bytes)
    nodes = model.graph.node
    start = next((at for at, node in enumerate(nodes) if node.op_type == "Sub"), len(nodes))
    row = list(nodes[start : start + 3])
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    each = [constants[node.input[1]] for node in row[:2] if node.input[1] in constants]
    kinds = [node.op_type for node in row]
    shapes = [list(constant.dims) for constant in each]
    if kinds != ["Sub", "Mul", "Transpose"] or shapes != [[3], [3]]:
        return model_bytes
    less, times, turned = row
    planes, normalised = f"{turned.output[0]}.planes", turned.output[0]
    turned.input[0], turned.output[0] = less.input[0], planes
    less.input[0], times.output[0] = planes, normalised
    for constant in each:
        constant.dims[:] = [3, 1, 1]
    _replace(nodes, [*nodes[:start], turned, less, times, *nodes[start + 3 :]])
    return _checked(model)


def with_batch(model_bytes: bytes, batch: int) -> bytes:
    """Return the graph with inputs and outputs of exactly ``batch`` photos."""
    model = onnx.load_from_string(model_bytes)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = batch
    return _checked(model)


def at_opset(model_bytes: bytes, opset: int) -> bytes:
    """Return the graph in the words of another version of ONNX.

    Raises:
        ExportFailed: there is no such version, or it lacks something that the network needs.
    """
    newest = onnx.defs.onnx_opset_version()
    if not 1 <= opset <= newest:
        raise ExportFailed(
            f"--opset {opset} is unknown; the onnx installed here has 1 to {newest}."
        )
    model = onnx.load_from_string(model_bytes)
    if opset == next(known.version for known in model.opset_import if known.domain == ""):
        return model_bytes
    try:
        converted = version_converter.convert_version(model, opset)
    except Exception as error:  # RuntimeError and whatever its adapters raise
        reason = str(error).strip().splitlines()[0].rpartition(": ")[2][:200]
        raise ExportFailed(
            f"this network cannot be written with --opset {opset} ({reason}); {OPSET} is its own, "
            "and newer ones mostly work."
        ) from error
    least = helper.find_min_ir_version_for(list(converted.opset_import))
    converted.ir_version = max(converted.ir_version, least)
    helper.set_model_props(converted, {note.key: note.value for note in model.metadata_props})
    return _checked(converted)


def _replace(field: object, values: list[object]) -> None:
    del field[:]  # type: ignore[attr-defined]  # protobuf's lists are of no public type
    field.extend(values)  # type: ignore[attr-defined]


def _checked(model: onnx.ModelProto) -> bytes:
    del model.graph.value_info[:]  # shapes of what it was before
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))
