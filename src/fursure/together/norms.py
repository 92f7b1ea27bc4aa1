"""BatchNorm that follows the photos of all processes, not of each one's share.

torch's own, SyncBatchNorm, needs a GPU. Here whatever calls `functional.batch_norm` in training,
torch's layers and timm's, gets the statistics of the whole batch.

Dimension key: C channels.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from fursure.together.team import heard


class NormsTogether(TorchFunctionMode):
    """While it is entered, BatchNorm in training counts the photos of every process."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call ``func``, or what stands in for it."""
        chosen = _batch_norm if func is functional.batch_norm else func
        return chosen(*args, **(kwargs or {}))


def _batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Return what `functional.batch_norm` would, had it all photos before it."""
    if not training:
        return functional.batch_norm(
            x, running_mean, running_var, weight, bias, training, momentum, eps
        )
    axes, shape = [0, *range(2, x.ndim)], [1, -1, *[1] * (x.ndim - 2)]
    values = x.float()
    count = values.new_full((1,), values.numel() / values.shape[1])
    sums = _summed(torch.cat([values.sum(axes), count]))
    total = sums[-1].detach()
    mean_C = sums[:-1] / total
    centred = values - mean_C.view(shape)
    var_C = _summed(centred.square().sum(axes)) / total  # in a second look: no cancellation
    with torch.no_grad():
        if running_mean is not None and running_var is not None:
            running_mean.lerp_(mean_C, momentum)
            running_var.lerp_(var_C * total / (total - 1).clamp_min(1), momentum)
    scale_C = torch.rsqrt(var_C + eps)
    scale_C = scale_C if weight is None else scale_C * weight
    y = centred * scale_C.view(shape)
    return (y if bias is None else y + bias.view(shape)).to(x.dtype)


class _Summed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, mine: Tensor) -> Tensor:  # noqa: ARG004 - torch's protocol
        return _over_all(mine)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:  # noqa: ARG004
        """Return the gradient of all processes' losses: each of them used the sum."""
        return _over_all(grads[0])


def _over_all(mine: Tensor) -> Tensor:
    total = mine.detach().clone()
    with heard():
        dist.all_reduce(total)
    return total


def _summed(mine: Tensor) -> Tensor:
    total: Tensor = _Summed.apply(mine)
    return total
