"""A network whose BatchNorm is frozen → the same network with it folded into its convolutions.

Folded, the statistics cannot move, and neither they nor their gradients cost anything: on a CPU
BatchNorm is pure memory traffic. What cannot be folded stays, frozen by `Classifier.train`.
"""

import copy
from typing import Any

import torch
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.padding import pad_same
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.grad import conv2d_weight

_TOLERANCE = 1e-3  # largest |difference| to the network as it was, as a share of the largest value


def folded(net: nn.Module, size: int) -> nn.Module:
    """Return ``net`` with each BatchNorm behind a convolution folded into it.

    Whether a BatchNorm follows the convolution registered before it is not written down in a
    network, so the result is compared with the original on ``size`` px; where they differ, the
    original is returned.
    """
    generator = torch.Generator().manual_seed(0)
    x_NCHW = torch.randn((2, 3, size, size), generator=generator)
    net.eval()
    with torch.no_grad():
        wanted = net.forward_features(x_NCHW)  # type: ignore[operator]
        candidate = copy.deepcopy(net)
        _fold(candidate)
        features = candidate.forward_features(x_NCHW)  # type: ignore[operator]
    gap = (features - wanted).abs().max() / wanted.abs().max().clamp_min(1e-12)
    return candidate if bool(gap <= _TOLERANCE) else net


def _fold(module: nn.Module) -> None:
    before: tuple[str, nn.Module] | None = None
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm2d) and before and _fits(before[1], child):
            setattr(module, before[0], _merged(before[1], child))
            setattr(module, name, getattr(child, "act", nn.Identity()))  # timm's BatchNormAct2d
        else:
            _fold(child)
        before = name, child


def _fits(conv: nn.Module, norm: nn.BatchNorm2d) -> bool:
    fits = isinstance(conv, nn.Conv2d) and conv.out_channels == norm.num_features
    return fits and norm.track_running_stats


def _merged(conv: nn.Module, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """Return the convolution that does what ``conv`` and ``norm`` did."""
    assert isinstance(conv, nn.Conv2d)  # noqa: S101 - `_fits` looked
    assert norm.running_mean is not None  # noqa: S101 - it tracks them
    assert norm.running_var is not None  # noqa: S101
    scale_C = torch.rsqrt(norm.running_var + norm.eps)
    shift_C = torch.zeros_like(scale_C)
    if norm.affine:
        scale_C, shift_C = scale_C * norm.weight, norm.bias
    old_C = conv.bias if conv.bias is not None else torch.zeros_like(scale_C)
    merged = copy.copy(conv)  # keeps the class: timm pads in subclasses of Conv2d
    merged._parameters = {
        "weight": nn.Parameter((conv.weight * scale_C[:, None, None, None]).detach()),
        "bias": nn.Parameter(((old_C - norm.running_mean) * scale_C + shift_C).detach()),
    }
    return merged


def hurry(net: nn.Module) -> None:
    """Give depthwise convolutions that skip pixels a quicker gradient, on a CPU in bf16.

    oneDNN's own takes 150 ms for 32 photos in the first such layer of MobileNetV2, a fifth of the
    whole step.
    """
    for module in net.modules():
        if type(module) in QUICK and _strided_depthwise(module):
            module.__class__ = QUICK[type(module)]


def unhurry(net: nn.Module) -> None:
    """Undo `hurry`, for whoever exports the network: exporters know the usual layers only."""
    usual = {quick: plain for plain, quick in QUICK.items()}
    for module in net.modules():
        if type(module) in usual:
            module.__class__ = usual[type(module)]


def _strided_depthwise(conv: nn.Module) -> bool:
    assert isinstance(conv, nn.Conv2d)  # noqa: S101 - the caller looked
    return (
        conv.groups == conv.in_channels == conv.out_channels > 1
        and conv.stride[0] == conv.stride[1] > 1
        and conv.dilation == (1, 1)
        and isinstance(conv.padding, tuple)
        and all(pad < side for pad, side in zip(conv.padding, conv.kernel_size, strict=True))
        and conv.padding_mode == "zeros"
    )


class StridedDepthwise(nn.Conv2d):
    """A depthwise convolution that skips pixels; the same numbers, another way back."""

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return the convolution of ``x_NCHW``."""
        return _strided(self, x_NCHW)


class StridedDepthwiseSame(Conv2dSame):
    """The same for networks that came from TensorFlow, where one side is padded more."""

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return the convolution of ``x_NCHW``."""
        kernel = [int(side) for side in self.weight.shape[-2:]]
        return _strided(self, pad_same(x_NCHW, kernel, list(self.stride)))


QUICK: dict[type[nn.Module], type[nn.Module]] = {
    nn.Conv2d: StridedDepthwise,
    Conv2dSame: StridedDepthwiseSame,
}


def _strided(conv: nn.Conv2d, x_NCHW: Tensor) -> Tensor:
    weight, bias = conv.weight, conv.bias
    if torch.is_autocast_enabled("cpu"):
        kind = torch.get_autocast_dtype("cpu")
        x_NCHW, weight = x_NCHW.to(kind), weight.to(kind)
        bias = None if bias is None else bias.to(kind)
    out: Tensor = _Strided.apply(x_NCHW, weight, bias, conv.stride[0], conv.padding)
    return out


class _Strided(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x_NCHW: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: int,
        padding: tuple[int, int],
    ) -> Tensor:
        ctx.save_for_backward(x_NCHW, weight)
        ctx.stride, ctx.padding, ctx.biased = stride, padding, bias is not None
        return functional.conv2d(x_NCHW, weight, bias, stride, padding, groups=x_NCHW.shape[1])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients: of the input by a plain convolution of the spread-out gradient."""
        (out_NCHW,) = grads
        x_NCHW, weight = ctx.saved_tensors
        stride, padding, groups = ctx.stride, ctx.padding, x_NCHW.shape[1]
        to_x = to_weight = to_bias = None
        if ctx.needs_input_grad[0]:
            sides = list(zip(x_NCHW.shape[2:], weight.shape[2:], padding, strict=True))
            spread_NCHW = out_NCHW.new_zeros(  # what a convolution that skips nothing would give
                (*x_NCHW.shape[:2], *(side + 2 * pad - kernel + 1 for side, kernel, pad in sides)),
            ).contiguous(memory_format=torch.channels_last)
            spread_NCHW[:, :, ::stride, ::stride] = out_NCHW
            back = [kernel - 1 - pad for _, kernel, pad in sides]
            to_x = functional.conv2d(spread_NCHW, weight.flip(2, 3), None, 1, back, groups=groups)
        if ctx.needs_input_grad[1]:
            to_weight = conv2d_weight(  # type: ignore[no-untyped-call]
                x_NCHW, weight.shape, out_NCHW, [stride] * 2, padding, [1, 1], groups
            )
        if ctx.biased and ctx.needs_input_grad[2]:
            to_bias = out_NCHW.sum((0, 2, 3), dtype=torch.float32).to(out_NCHW.dtype)
        return to_x, to_weight, to_bias, None, None
