"""Weights of keras.applications → the same network in timm. Imported only to convert.

Keras itself matches weights by the order of the layers, and so do we: automatic names
(`conv2d_17`) begin anywhere, and Keras 3 may keep no others. What lies behind the last map (the
top, or one's own head) is left out. Photos are prepared as keras.applications does.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fursure.errors import BadBackbone, MissingExtra
from fursure.networks.keras_files import Layer, Shape, Shapes, layers_of, opened_keras

try:
    import timm
    import torch
    from timm.layers.pool2d_same import MaxPool2dSame
    from timm.models.xception import SeparableConv2d
    from torch import Tensor, nn
    from torch.nn import functional
except ImportError as error:
    raise MissingExtra("weights of Keras", "torch") from error

_Kind = Literal["convolution", "depthwise", "separable", "norm", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A network of keras.applications, and its counterpart in timm."""

    name: str
    timm: str
    size: int = 224  # pixels
    crop: float = 0.875
    caffe: bool = False  # blue first, 0 to 255, means subtracted; else -1 to 1
    bias: bool = False  # of its convolutions
    gamma: bool = True  # of its BatchNorm
    eps: float = 1e-3  # Keras's own default; torch's is 1e-5
    momentum: float = 0.01  # share of a new batch, as torch has it; Keras says 1 minus that


KNOWN = (
    Known(name="VGG16", timm="vgg16", caffe=True, bias=True),
    Known(name="VGG19", timm="vgg19", caffe=True, bias=True),
    Known(name="ResNet50", timm="resnet50", caffe=True, bias=True, eps=1.001e-5),
    Known(name="InceptionV3", timm="inception_v3", size=299, gamma=False),
    Known(name="Xception", timm="legacy_xception", size=299, crop=0.897),
    *(
        Known(name="MobileNetV2", timm=f"mobilenetv2_{width}", momentum=0.001)
        for width in ("100", "140", "075", "050", "035")
    ),
)

# timm's names of the parts of a block, in the order in which Keras lists them: by their distance
# from the output, then by the order in which a walk back from the output meets them.
LISTED = {
    "Bottleneck": "conv1 bn1 conv2 bn2 downsample conv3 bn3",
    "Block": "rep skip skipbn",
    "InceptionA": "branch3x3dbl_1 branch5x5_1 branch3x3dbl_2 branch1x1 branch5x5_2 branch3x3dbl_3 "
    "branch_pool",
    "InceptionB": "branch3x3dbl_1 branch3x3dbl_2 branch3x3 branch3x3dbl_3",
    "InceptionC": "branch7x7dbl_1 branch7x7dbl_2 branch7x7_1 branch7x7dbl_3 branch7x7_2 "
    "branch7x7dbl_4 branch1x1 branch7x7_3 branch7x7dbl_5 branch_pool",
    "InceptionD": "branch7x7x3_1 branch7x7x3_2 branch3x3_1 branch7x7x3_3 branch3x3_2 branch7x7x3_4",
    "InceptionE": "branch3x3dbl_1 branch3x3_1 branch3x3dbl_2 branch3x3_2a branch3x3_2b "
    "branch3x3dbl_3a branch3x3dbl_3b branch1x1 branch_pool",
}

MISSING = Layer("one more layer", ())

# Until Keras 2.2, ResNet50 named its layers after Caffe's, listed a block's shortcut (branch1)
# last, and had the default epsilon.
CAFFE_NAME = re.compile(r"(?:res|bn)(\d)([a-f])_branch(2a|2b|1|2c)")


def keras_network(path: Path) -> tuple[dict[str, Any], Any]:
    """Return the configuration (timm's `config.json`) and the network with the file's weights.

    Raises:
        BadBackbone: the file is damaged, or holds none of the `KNOWN` networks.
    """
    with opened_keras(path) as file:
        layers = layers_of(file, path.name)
        caffe_named = any(CAFFE_NAME.fullmatch(layer.name) for layer in layers)
        if caffe_named:
            layers.sort(key=_rank)
        known, layers = _recognised(layers, path.name)
        arrays = [layer.arrays() for layer in layers]
    if caffe_named:
        known = replace(known, eps=1e-3)
    net = _empty(known).to_empty(device="cpu")
    _fill(list(zip(_listed(net), arrays, strict=True)), known)
    _restructure(net)
    return _config(known), net


def _rank(layer: Layer) -> tuple[int, str, int]:
    """Return the place of a layer with Caffe's names among those that Keras lists today."""
    if match := CAFFE_NAME.fullmatch(layer.name):
        stage, block, branch = match.groups()
        return int(stage), block, ["2a", "2b", "1", "2c"].index(branch)
    return (0 if layer.name in {"conv1", "bn_conv1"} else 9), "", 0


def _config(known: Known) -> dict[str, Any]:
    caffe = {"mean": [123.68 / 255, 116.779 / 255, 103.939 / 255], "std": [1 / 255] * 3}
    return {
        "architecture": known.timm,
        "num_classes": 0,
        "pretrained_cfg": {
            "input_size": [3, known.size, known.size],
            "interpolation": "bilinear",
            "crop_mode": "center",
            "crop_pct": known.crop,
            "license": "unknown",
        }
        | (caffe if known.caffe else {"mean": [0.5] * 3, "std": [0.5] * 3}),
    }


def _recognised(layers: Sequence[Layer], name: str) -> tuple[Known, list[Layer]]:
    """Return the network whose layers these are, and its layers in the order of `_listed`."""
    misses: list[tuple[float, str]] = []
    for known in KNOWN:
        wanted = _wanted(known)
        matched = _in_place(layers, wanted)
        differing = [
            f"{layer.name[:60]!r}: found {_text(layer.shapes)}, needs {_text(shapes)}"
            for layer, shapes in zip(matched, wanted, strict=True)
            if layer.shapes != shapes
        ]
        if not differing:
            return known, matched
        miss = (
            f"the nearest is {known.name}, of which {len(differing)} of {len(wanted)} layers "
            f"differ ({'; '.join(differing[:3])})"
        )
        misses.append((len(differing) / len(wanted), miss))
    raise BadBackbone(
        f"{name} holds none of the networks of Keras that fursure knows, which are "
        f"{', '.join(dict.fromkeys(known.name for known in KNOWN))}; {min(misses)[1]}. Save the "
        "weights of one of these, or take another network from timm:NAME."
    )


@cache
def _wanted(known: Known) -> list[Shapes]:
    """Return the shapes of the arrays of each layer, as Keras has them."""
    return [_shapes(slot, known) for slot in _listed(_empty(known))]


def _in_place(layers: Sequence[Layer], wanted: Sequence[Shapes]) -> list[Layer]:
    """Return the file's n-th layer of a kind in the place of the network's n-th of that kind.

    Only within a kind does every format keep the order.
    """
    by_kind: dict[_Kind, list[Layer]] = defaultdict(list)
    for layer in layers:
        by_kind[_kind(layer.shapes)].append(layer)
    queues = {kind: iter(of_a_kind) for kind, of_a_kind in by_kind.items()}
    return [next(queues.get(_kind(shapes), iter(())), MISSING) for shapes in wanted]


def _kind(shapes: Shapes) -> _Kind:
    match [len(shape) for shape in shapes]:
        case [4] | [4, 1]:
            channels, multiplier = shapes[0][2:]
            return "depthwise" if multiplier == 1 < channels else "convolution"
        case [4, 4]:
            return "separable"
        case [1, 1, 1] | [1, 1, 1, 1]:
            return "norm"
    return "other"


def _text(shapes: Shapes) -> str:
    return " and ".join("x".join(map(str, shape)) or "a number" for shape in shapes) or "nothing"


def _empty(known: Known) -> Any:
    """Return the network without memory for its weights, and without its classifier."""
    more: dict[str, Any] = {"pad_type": "same"} if known.name == "MobileNetV2" else {}
    with torch.device("meta"):
        net = timm.create_model(known.timm, num_classes=0, **more)
    if known.timm.startswith("vgg"):
        net.pre_logits = nn.Identity()
    return net


def _listed(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the layers with weights in the order in which Keras lists them."""
    if isinstance(module, (nn.Conv2d, SeparableConv2d, nn.BatchNorm2d)):
        yield module
        return
    parts = dict(module.named_children())
    order = LISTED.get(type(module).__name__)
    for name in order.split() if order else parts:
        if name in parts:  # not every block has a shortcut with weights
            yield from _listed(parts[name])


def _shapes(slot: nn.Module, known: Known) -> Shapes:
    """Return the shapes of a layer's arrays in Keras: kernels are height, width, in, out."""
    match slot:
        case SeparableConv2d():
            return _kernel_shape(slot.conv1), _kernel_shape(slot.pointwise)
        case nn.Conv2d():
            return (_kernel_shape(slot), (slot.out_channels,))[: 1 + known.bias]
        case _:
            return ((int(slot.num_features),),) * (3 + known.gamma)  # type: ignore[arg-type]


def _kernel_shape(conv: nn.Conv2d) -> Shape:
    out, within, height, width = conv.weight.shape
    return (height, width, out, 1) if conv.groups > 1 else (height, width, within, out)


def _fill(slots: Sequence[tuple[nn.Module, list[NDArray[np.float32]]]], known: Known) -> None:
    """Write a file's arrays into the layers of the network."""
    if known.caffe:  # it sees blue first, we give it red first
        kernel_hwio = slots[0][1][0]
        slots[0][1][0] = kernel_hwio[:, :, ::-1]
    norms = [arrays for slot, arrays in slots if isinstance(slot, nn.BatchNorm2d)]
    if known.bias and norms:  # timm's convolutions have none: (x + bias) - mean = x - (mean - bias)
        biases = [arrays[1] for slot, arrays in slots if isinstance(slot, nn.Conv2d)]
        for norm, bias in zip(norms, biases, strict=True):
            norm[-2] -= bias
    for slot, arrays in slots:
        match slot:
            case SeparableConv2d():
                _fill_kernel(slot.conv1, arrays[0])
                _fill_kernel(slot.pointwise, arrays[1])
            case nn.Conv2d():
                _fill_kernel(slot, arrays[0])
                if slot.bias is not None:
                    slot.bias.data = torch.from_numpy(arrays[1])
            case nn.BatchNorm2d():
                _fill_norm(slot, arrays, known)


def _fill_kernel(conv: nn.Conv2d, kernel_hwio: NDArray[np.float32]) -> None:
    axes = (2, 3, 0, 1) if conv.groups > 1 else (3, 2, 0, 1)
    conv.weight.data = torch.from_numpy(kernel_hwio.transpose(axes).copy())


def _fill_norm(norm: nn.BatchNorm2d, arrays: list[NDArray[np.float32]], known: Known) -> None:
    *scale, shift, mean, variance = map(torch.from_numpy, arrays)
    norm.weight.data = scale[0] if scale else torch.ones_like(shift)
    norm.bias.data = shift
    norm.running_mean, norm.running_var = mean, variance
    norm.num_batches_tracked = torch.tensor(0)
    norm.eps, norm.momentum = known.eps, known.momentum


def _restructure(net: Any) -> None:
    """Make a network of timm compute as Keras's does, where the two differ."""
    for module in list(net.modules()):
        match type(module).__name__:
            case "Bottleneck" if module.conv2.stride != (1, 1):
                # the stride of Keras's ResNet50, the original one, is a step earlier
                module.conv1.stride, module.conv2.stride = module.conv2.stride, (1, 1)
            case "InceptionA" | "InceptionC" | "InceptionE":
                module.branch_pool = nn.Sequential(WithoutPadding(), module.branch_pool)
            case "Block" if isinstance(module.rep[-1], nn.MaxPool2d):
                module.rep[-1] = MaxPool2dSame(3, 2)


class WithoutPadding(nn.Module):
    """Make a 3x3 average that counted the padding one that did not, as Keras's does not."""

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return the averages over the cells inside the map."""
        inside_11HW = torch.ones_like(x_NCHW[:1, :1])
        return x_NCHW / functional.avg_pool2d(inside_11HW, 3, stride=1, padding=1)
