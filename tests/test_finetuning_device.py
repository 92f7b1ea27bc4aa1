"""What goes to a GPU and how, and what happens where its memory is short; tried without one."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("timm")

import torch
from test_finetuning_trainer import Narrow, Net, model_of, photos_of, shaken, steps, trainer_of
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from fursure.finetuning.augment import Augment
from fursure.finetuning.classifier import arithmetic

BLENDED = {"mixup": 0.4, "cutmix": 1.0, "augment": "strong", "batch": 11}
GPU = torch.device("cuda")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Sendings(TorchFunctionMode):
    """Notes every tensor that is sent to a device, and whether something waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[Tensor, bool]] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is Tensor.to and any(isinstance(value, torch.device) for value in args):
            self.sent.append((args[0], not kwargs.get("non_blocking", False)))
        return func(*args, **kwargs)


@pytest.mark.parametrize("blended", [{}, BLENDED])
def test_photos_go_up_as_bytes_and_nothing_waits_for_a_copy(blended: dict[str, Any]) -> None:
    trainer = trainer_of(**blended)
    batch = trainer.batches.read(trainer.batches.order(0), 0, 0)
    trainer.state.model.train()
    with Sendings() as noted:
        trainer.learner.gradients(batch, 0, 1)
    assert not any(waited for _, waited in noted.sent)
    large = [tensor for tensor, _ in noted.sent if tensor.numel() > 1000]
    assert [tensor.dtype for tensor in large] == [torch.uint8]
    assert large[0].data_ptr() == batch.squares.data_ptr()  # no copy that is not in pinned memory


def test_a_gpu_fetches_photos_from_pinned_memory_in_parts_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pinned: list[Tensor] = []

    def pin(squares: Tensor) -> Tensor:
        pinned.append(squares.clone())
        return pinned[-1]

    monkeypatch.setattr(Tensor, "pin_memory", pin)
    batches = replace(trainer_of().batches, pinned=True)
    batch = batches.read(batches.order(0), 0, 0)
    (memory,) = pinned
    assert batch.squares is memory
    part = np.arange(3, 7)
    assert batch.pixels(part).data_ptr() == memory[3].data_ptr()


def test_photos_are_changed_on_the_device_they_are_on() -> None:
    squares = torch.empty((4, 20, 20, 3), dtype=torch.uint8, device="meta")  # nothing can be read
    augment = Augment.of(trainer_of(augment="strong").settings, photos_of((8, 8)).preprocess, 0)
    x_NCHW = augment(squares, range(4), 1)
    assert (x_NCHW.device.type, x_NCHW.shape) == ("meta", (4, 3, 16, 16))


@pytest.mark.parametrize("native", [True, False])
def test_bf16_is_used_on_a_gpu_that_multiplies_it_itself(
    native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def supported(including_emulation: bool = True) -> bool:
        return native or including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert arithmetic("auto", GPU) is (torch.bfloat16 if native else torch.float32)
    assert arithmetic("fp32", GPU) is torch.float32


def test_smaller_parts_learn_the_same_from_blended_photos_with_dropout() -> None:
    narrow = Narrow()
    narrow.room = 3
    runs = [
        trainer_of(photos_of((17, 16)), model=model_of(shaken(net), dropout=0.3), **BLENDED)
        for net in (Net(), narrow)
    ]
    whole, split = ([float(step.loss) for step in steps(run)] for run in runs)
    assert [run.state.place.parts for run in runs] == [1, 4]
    assert max(abs(a - b) for a, b in zip(whole, split, strict=True)) < 1e-5


class Crowded(Net):
    """A network for which more than ten photos at once are too many to answer."""

    def forward_features(self, x_NCHW: Tensor) -> Tensor:
        if len(x_NCHW) > 10:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().forward_features(x_NCHW)


def test_where_memory_is_short_fewer_photos_of_validation_are_answered_at_once() -> None:
    photos = photos_of((8, 8), validation=20)
    wanted, found = (trainer_of(photos, model=model_of(shaken(net))) for net in (Net(), Crowded()))
    for trainer in (wanted, found):
        nn.init.ones_(trainer.state.model.head[1].weight)  # type: ignore[arg-type]
        trainer.state.model.eval()
    assert torch.allclose(found.learner.logits(), wanted.learner.logits(), atol=1e-5)
    assert found.learner.validated == 8
