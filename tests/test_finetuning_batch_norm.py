"""Frozen BatchNorm folded into convolutions, and a quicker way back through strided ones."""

import copy
from typing import Any

import pytest

pytest.importorskip("torch")
timm = pytest.importorskip("timm")

import torch  # noqa: E402
from timm.layers.conv2d_same import Conv2dSame  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from fursure.finetuning.batch_norm import (  # noqa: E402
    StridedDepthwise,
    StridedDepthwiseSame,
    folded,
    hurry,
    unhurry,
)
from fursure.networks.export import export_network  # noqa: E402
from fursure.photos.preprocess import Preprocess  # noqa: E402


def shaken(net: Any) -> Any:
    """Return the network with statistics, scales and shifts as training would leave them."""
    torch.manual_seed(0)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d) and module.running_var is not None:
                assert module.running_mean is not None
                module.running_mean.normal_(0, 0.3)
                module.running_var.uniform_(0.5, 2)
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.3)
    return net.eval()


def norms(net: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in net.modules())


def photos(seed: int, *, size: int = 32, channels: int = 3) -> Tensor:
    return torch.randn((3, channels, size, size), generator=torch.Generator().manual_seed(seed))


class Pair(nn.Module):
    """Two convolutions and a BatchNorm registered behind the second."""

    num_features = 8

    def __init__(self, *, behind: int, **norm: Any) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3)
        self.norm = nn.BatchNorm2d(8, **norm)
        self.behind = behind  # which convolution the BatchNorm really follows

    def forward_features(self, x_NCHW: Tensor) -> Tensor:
        if self.behind == 1:
            return torch.relu(self.second(torch.relu(self.norm(self.first(x_NCHW)))))
        return torch.relu(self.norm(self.second(torch.relu(self.first(x_NCHW)))))


# Folding


@pytest.mark.parametrize(
    ("name", "before", "left"),
    [
        ("test_efficientnet", 13, 0),
        ("test_byobnet", 14, 0),
        ("test_resnet", 15, 1),  # behind three convolutions that are registered as one
    ],
)
def test_a_folded_network_answers_as_before(name: str, before: int, left: int) -> None:
    net = shaken(timm.create_model(name))
    wanted = net.forward_features(photos(1))
    found: Any = folded(net, 32)
    assert (norms(found), norms(net)) == (left, before)  # and the network itself is as it was
    gap = (found.forward_features(photos(1)) - wanted).abs().max() / wanted.abs().max()
    assert gap < 1e-4


def test_a_folded_convolution_has_the_textbook_s_weights() -> None:
    net = Pair(behind=2, eps=0.0)
    with torch.no_grad():
        for tensor, value in (
            (net.norm.running_mean, 5.0),
            (net.norm.running_var, 4.0),
            (net.norm.weight, 7.0),
            (net.norm.bias, 1.0),
            (net.second.weight, 3.0),
            (net.second.bias, 2.0),
        ):
            tensor.fill_(value)  # type: ignore[union-attr]
    found: Any = folded(net, 8)
    assert isinstance(found.norm, nn.Identity)
    assert torch.allclose(found.second.weight, torch.tensor(7 * 3 / 2.0))  # γ w / σ
    assert torch.allclose(
        found.second.bias, torch.tensor(7 * (2 - 5) / 2.0 + 1)
    )  # γ (b - μ) / σ + β


def test_a_network_whose_order_of_registration_lies_stays_as_it_was() -> None:
    lying, honest = shaken(Pair(behind=1)), shaken(Pair(behind=2))
    assert folded(lying, 16) is lying
    assert norms(lying) == 1
    assert norms(folded(honest, 16)) == 0


def test_a_batch_norm_without_statistics_stays() -> None:
    net = Pair(behind=2, track_running_stats=False)
    assert norms(folded(net, 16)) == 1


# Strided depthwise convolutions


def gradients(conv: nn.Conv2d, x_NCHW: Tensor) -> list[Tensor]:
    """Return the output, and the gradients of input, weight and bias for a random one of it."""
    x_NCHW = x_NCHW.clone().requires_grad_()
    conv.zero_grad()
    out_NCHW = conv(x_NCHW)
    to_out = torch.randn(out_NCHW.shape, generator=torch.Generator().manual_seed(2))
    out_NCHW.backward(to_out.to(out_NCHW.dtype))
    parts = [x_NCHW, *conv.parameters()]
    return [out_NCHW.detach(), *(one.grad for one in parts if one.grad is not None)]


def depthwise(
    kind: type[nn.Conv2d], kernel: Any, stride: int, padding: Any, *, bias: bool
) -> tuple[nn.Conv2d, nn.Conv2d]:
    """Return a depthwise convolution of 6 channels, and the same one hurried."""
    torch.manual_seed(0)
    plain = kind(6, 6, kernel, stride, padding, groups=6, bias=bias)
    quick = copy.deepcopy(plain)
    hurry(nn.Sequential(quick))
    assert type(quick) in {StridedDepthwise, StridedDepthwiseSame}
    return plain, quick


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("size", [8, 11])
@pytest.mark.parametrize(
    ("kind", "kernel", "stride", "padding"),
    [
        (nn.Conv2d, 3, 2, 1),
        (nn.Conv2d, 5, 2, 2),
        (nn.Conv2d, 3, 3, 1),
        (nn.Conv2d, 3, 2, 0),
        (nn.Conv2d, 4, 2, 3),
        (nn.Conv2d, (3, 5), 2, (1, 0)),
        (Conv2dSame, 3, 2, 0),  # pads by itself: of even sides the far ends alone
        (Conv2dSame, 5, 2, 0),
    ],
)
def test_a_hurried_convolution_has_torch_s_gradients(
    kind: type[nn.Conv2d], kernel: Any, stride: int, padding: Any, size: int, bias: bool
) -> None:
    plain, quick = depthwise(kind, kernel, stride, padding, bias=bias)
    x_NCHW = photos(1, size=size, channels=6)
    wanted, found = gradients(plain, x_NCHW), gradients(quick, x_NCHW)
    assert len(found) == len(wanted) == 3 + bias
    for one, other in zip(found, wanted, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_in_half_the_bits_a_hurried_convolution_is_as_close() -> None:
    plain, quick = depthwise(nn.Conv2d, 3, 2, 1, bias=True)
    x_NCHW = photos(1, size=11, channels=6)
    wanted = gradients(plain, x_NCHW)
    with torch.autocast("cpu", torch.bfloat16):
        out_NCHW, *found = gradients(quick, x_NCHW)
    assert out_NCHW.dtype == torch.bfloat16
    for one, other in zip([out_NCHW, *found], wanted, strict=True):
        assert (one.float() - other).abs().max() < 0.02 * other.abs().max()  # 8 bits: 0.4 %


def test_only_depthwise_convolutions_that_skip_pixels_are_hurried() -> None:
    left = [
        nn.Conv2d(6, 6, 3, 2, 1),  # every channel sees every other
        nn.Conv2d(6, 6, 3, 1, 1, groups=6),  # skips nothing
        nn.Conv2d(6, 12, 3, 2, 1, groups=6),  # two filters a channel
        nn.Conv2d(6, 6, 3, (2, 1), 1, groups=6),  # skips in one direction only
        nn.Conv2d(6, 6, 3, 2, 3, groups=6),  # sees nothing but padding at its border
        nn.Conv2d(6, 6, 3, 2, 2, dilation=2, groups=6),
        nn.Conv2d(6, 6, 3, 2, 1, groups=6, padding_mode="reflect"),
    ]
    hurry(nn.Sequential(*left))
    assert {type(one) for one in left} == {nn.Conv2d}


@pytest.mark.parametrize("kind", [StridedDepthwise, StridedDepthwiseSame])
def test_a_network_that_is_not_hurried_any_more_is_as_it_was(kind: type[nn.Module]) -> None:
    same = {"pad_type": "same"} if kind is StridedDepthwiseSame else {}
    net = shaken(timm.create_model("test_efficientnet", **same))
    wanted = net.forward_features(photos(1))
    before = [type(module) for module in net.modules()]
    hurry(net)
    kinds = [type(module) for module in net.modules()]
    assert kinds.count(kind) == 2
    assert torch.allclose(net.forward_features(photos(1)), wanted)
    unhurry(net)
    assert [type(module) for module in net.modules()] == before


@pytest.mark.long
def test_a_network_that_is_not_hurried_any_more_can_be_exported() -> None:
    net = Pair(behind=2)
    net.second = nn.Conv2d(8, 8, 3, 2, 1, groups=8)
    hurry(net)
    assert type(net.second) is StridedDepthwise
    unhurry(net.eval())
    assert export_network(net, Preprocess(size=32), "hurried")  # it compares the graph with torch
