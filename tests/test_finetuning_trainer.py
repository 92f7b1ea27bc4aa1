"""A classifier learns from squares of photos: what moves, how fast, and when it ends."""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fursure.errors import BadBackbone, TrainingDiverged
from fursure.graphs.layers import Dense, Layers
from fursure.photos.preprocess import Preprocess
from fursure.recipe import FineTune, Stage

pytest.importorskip("torch")
timm = pytest.importorskip("timm")

import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from fursure.finetuning import trainer as trainer_module  # noqa: E402
from fursure.finetuning.batch_norm import folded, hurry  # noqa: E402
from fursure.finetuning.batches import TrainingPhotos  # noqa: E402
from fursure.finetuning.classifier import Classifier, groups, random_head, unfreeze  # noqa: E402
from fursure.finetuning.state import Epoch, State, copied, weights  # noqa: E402
from fursure.finetuning.trainer import Step, Trainer  # noqa: E402
from fursure.finetuning.tuning import mix_weights  # noqa: E402
from fursure.networks.scratch import SmallCnn  # noqa: E402

WIDTH = 8  # features of the small network


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Let torch work alone: a second thread costs such small networks more than it brings."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Net(nn.Module):
    """Two blocks, each a convolution, its BatchNorm and a ReLU, as timm's networks have them."""

    num_features = WIDTH
    feature_info = ({"module": "low"}, {"module": "high"})

    def __init__(self) -> None:
        super().__init__()
        self.low = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU())
        depthwise = nn.Conv2d(4, 4, 3, 2, 1, groups=4)
        self.high = nn.Sequential(depthwise, nn.Conv2d(4, WIDTH, 1), nn.BatchNorm2d(WIDTH))

    def forward_features(self, x_NCHW: Tensor) -> Tensor:
        return torch.relu(self.high(self.low(x_NCHW)))

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        return {"stem": "^low", "blocks": "^high"}


def shaken(net: Any, seed: int = 0) -> Any:
    """Return the network with random weights, and statistics as training would leave them."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if name.endswith(("running_var", "bn.weight")):
                tensor.uniform_(0.5, 2, generator=generator)
            elif tensor.is_floating_point():
                tensor.normal_(0, 0.3, generator=generator)
    return net


def model_of(net: Any, classes: int = 2, *, dropout: float = 0.0, seed: int = 0) -> Classifier:
    """Return a classifier as `tuning` makes it, its head untrained."""
    hurry(net)
    model = Classifier(net, random_head((net.num_features, classes), seed), dropout)
    return model.to(memory_format=torch.channels_last)


def photos_of(counts: Iterable[int], *, size: int = 16, validation: int = 4) -> TrainingPhotos:
    """Return noisy photos, so many of each class, each class of a colour of its own."""
    generator = np.random.default_rng(5)
    labels_N = np.repeat(np.arange(3), [*counts, 0, 0, 0][:3])
    labels_V = np.repeat(np.unique(labels_N), validation)

    def drawn(labels: NDArray[np.int64], side: int) -> NDArray[np.uint8]:
        pixels = generator.integers(0, 160, (len(labels), side, side, 3))
        pixels[np.arange(len(labels)), :, :, labels] += 80
        return pixels.astype(np.uint8)

    return TrainingPhotos(
        squares_NHWC=drawn(labels_N, 20),
        labels_N=labels_N,
        inputs_VHWC=drawn(labels_V, size),
        labels_V=labels_V,
        preprocess=Preprocess(size=size, crop=0.8),
    )


STILL = FineTune(
    stages=(Stage(epochs=2, rate=0.01),),
    augment="none",
    batch=8,
    dropout=0.0,
    weight_decay=0.0,
    ema=0.0,
    precision="fp32",
)


def trainer_of(
    photos: TrainingPhotos | None = None, *, model: Classifier | None = None, **settings: Any
) -> Trainer:
    """Return a training with nothing random about it but what ``settings`` ask for."""
    state = State.of(model or model_of(shaken(Net())))
    return Trainer(photos or photos_of((16, 16)), replace(STILL, **settings), state, seed=0)


BEFORE = Epoch(
    stage=1, number=0, train_loss=math.nan, val_loss=0.7, val_accuracy=0.5, best=True, seconds=0.0
)


def steps(trainer: Trainer) -> list[Step]:
    return [event for event in trainer if isinstance(event, Step)]


def moved(trainer: Trainer) -> set[str]:
    """Train, and return the names of the tensors that were ever, by a bit, not as before."""
    before, names = copied(weights(trainer.state.model)), set()
    for _ in trainer:
        now = weights(trainer.state.model)
        names |= {name for name, tensor in before.items() if not torch.equal(tensor, now[name])}
    return {name.removeprefix("net.") for name in names}


# What moves

HEAD = {"head.1.weight", "head.1.bias"}


class Separable(nn.Module):
    """A BatchNorm behind two convolutions registered as one, as Xception has them."""

    num_features = WIDTH
    feature_info = ({"module": "first"}, {"module": "norm"})

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, 2)
        self.conv = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, WIDTH, 1))
        self.norm = nn.BatchNorm2d(WIDTH)

    def forward_features(self, x_NCHW: Tensor) -> Tensor:
        return torch.relu(self.norm(self.conv(torch.relu(self.first(x_NCHW)))))

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        return {"stem": "^first", "blocks": "^conv|^norm"}


def network(kind: str) -> Any:
    made = {"small": Net, "separable": Separable}.get(kind, lambda: timm.create_model(kind))
    return shaken(made())


def norms(net: nn.Module) -> set[str]:
    """Return the names of the scales, shifts and statistics of every BatchNorm."""
    return {
        f"{name}.{tensor}"
        for name, module in net.named_modules()
        if isinstance(module, nn.BatchNorm2d)
        for tensor in ("weight", "bias", "running_mean", "running_var")
    }


@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize("kind", ["small", "separable", "test_resnet"])
def test_frozen_batch_norm_stays_bit_for_bit_while_convolutions_move(kind: str, fold: bool) -> None:
    net = network(kind)
    net = folded(net, 32) if fold else net
    assert bool(norms(net)) is not (fold and kind == "small")  # what folds, and what does not
    everything = {name for name, one in net.state_dict().items() if one.is_floating_point()}
    unused = {"fc.weight", "fc.bias"}  # timm's own head, which features do not pass
    found = moved(trainer_of(model=model_of(net)))
    assert found == (everything - unused - norms(net)) | HEAD


def test_frozen_batch_norm_without_weights_of_its_own_stays_too() -> None:
    net = shaken(Net())
    net.low[1], net.high[2] = (nn.BatchNorm2d(wide, affine=False) for wide in (4, WIDTH))
    found = moved(trainer_of(model=model_of(net)))
    assert "low.0.weight" in found
    assert not found & norms(net)


def test_live_batch_norm_follows_the_photos() -> None:
    net = shaken(Net())
    found = moved(trainer_of(model=model_of(net), batch_norm="live"))
    assert found >= norms(net)
    assert len(norms(net)) == 8


@pytest.mark.parametrize("batch_norm", ["frozen", "live"])
@pytest.mark.parametrize("affine", [True, False])
def test_training_the_head_leaves_every_tensor_of_the_network(
    batch_norm: str, affine: bool
) -> None:
    net = shaken(Net())
    net.low[1] = nn.BatchNorm2d(4, affine=affine)
    stages = (Stage(part="head", epochs=2),)
    found = moved(trainer_of(model=model_of(net), batch_norm=batch_norm, stages=stages))
    assert found == HEAD


@pytest.mark.parametrize("batch_norm", ["frozen", "live"])
def test_training_the_last_block_moves_nothing_in_front_of_it(batch_norm: str) -> None:
    net = shaken(timm.create_model("test_resnet"))
    stages = (Stage(part="last-block", epochs=1),)
    found = moved(trainer_of(model=model_of(net), batch_norm=batch_norm, stages=stages))
    block = {name for name in weights(net) if name.startswith("layer4.")}
    assert found == (block - (norms(net) if batch_norm == "frozen" else set())) | HEAD


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("vgg16", r"features\.(24|26|28)\."),  # convolutions 5-1 to 5-3 (Chollet's fine-tuning)
        ("mobilenetv2_100", r"blocks\.[56]\.|conv_head|bn2"),  # what sees 1/32 of the photo's side
        ("resnet18", r"layer4"),
        ("vit_tiny_patch16_224", r"blocks\.11\.|norm\."),  # one resolution: its last block
        ("cnn", r"features\.9\.|dense"),
    ],
)
def test_the_last_block_is_what_lies_behind_the_last_but_one_resolution(
    name: str, block: str
) -> None:
    with torch.device("meta"):
        net = SmallCnn(150) if name == "cnn" else timm.create_model(name)
        model = Classifier(net, Layers(()), 0.0)
    model.live = True
    unfreeze(model, "last-block")
    own = r"head|pre_logits|fc|classifier"  # timm's own head, which features do not pass
    chosen = {key for key, one in net.named_parameters() if one.requires_grad}
    assert {key for key in chosen if not re.match(own, key)} == {
        key for key, _ in net.named_parameters() if re.match(block, key)
    }


def test_a_network_that_does_not_say_where_its_blocks_end_is_a_sentence() -> None:
    net = Net()
    net.feature_info = ()  # type: ignore[assignment]
    words = r'Net does not say where its blocks end.*let "all" of it train, or the "head"'
    with pytest.raises(BadBackbone, match=words):
        unfreeze(model_of(net), "last-block")


# How fast


def test_the_rate_rises_in_a_line_and_falls_as_half_a_cosine() -> None:
    trainer = trainer_of(photos_of((20, 20)), stages=(Stage(epochs=2, rate=0.5),), warmup=0.2)
    rates = [step.rate for step in steps(trainer)]  # two passes of five batches of eight
    assert rates[:2] == pytest.approx([0.25, 0.5])  # 1/10 and 2/10 done; the warm-up is 2/10
    assert rates[5] == pytest.approx(0.5 * (0.01 + 0.99 / 2))  # 6/10: half of the cosine
    assert rates[9] == pytest.approx(0.5 * 0.01)
    assert rates[1:] == sorted(rates[1:], reverse=True)


def test_each_layer_below_the_head_has_a_lower_rate_and_biases_do_not_decay() -> None:
    model = model_of(Net())
    names = {id(one): name for name, one in model.named_parameters()}
    model.live = True
    unfreeze(model, "all")
    chosen = groups(model, Stage(rate=0.1), layer_decay=0.5, weight_decay=0.02)
    found = {
        names[id(one)]: (group["lr"], group["weight_decay"])
        for group in chosen
        for one in group["params"]
    }
    assert found["head.1.weight"] == (0.1, 0.02)
    assert found["head.1.bias"] == (0.1, 0)
    assert found["net.high.1.weight"] == (0.05, 0.02)
    assert found["net.high.2.weight"] == (0.05, 0)
    assert found["net.low.0.weight"] == (0.025, 0.02)
    assert found["net.low.0.bias"] == (0.025, 0)
    assert len(found) == len(names)


def test_without_an_average_the_mean_is_the_weights() -> None:
    trainer = trainer_of(ema=0.0)
    for event in trainer:
        if isinstance(event, Step):
            mean, now = trainer.state.mean, weights(trainer.state.model)
            assert all(torch.equal(mean[name], now[name]) for name in now)


def test_the_average_follows_quickly_at_first() -> None:
    trainer = trainer_of(ema=0.15)
    before = copied(trainer.state.mean)
    for event, decay in zip(
        (event for event in trainer if isinstance(event, Step)),
        (0.1, 0.15, 0.15),  # 1/10, then 2/11 and 3/12, which are more than was asked for
        strict=False,
    ):
        now = weights(trainer.state.model)
        for name, tensor in trainer.state.mean.items():
            wanted = decay * before[name] + (1 - decay) * now[name]
            assert torch.allclose(tensor, wanted, atol=1e-6), (name, event)
        before = copied(trainer.state.mean)


# What a step learns from


def test_balanced_sampling_shows_every_class_equally_often() -> None:
    photos = photos_of((12, 4, 2))
    trainer = trainer_of(photos, model=model_of(shaken(Net()), 3), sampling="balanced")
    draws_N = trainer.batches.order(0)
    assert np.bincount(photos.labels_N[draws_N % 18]).tolist() == [6, 6, 6]
    assert np.bincount(draws_N % 18)[16:].tolist() == [3, 3]
    assert len(set(draws_N)) == 18  # drawn again, a photo is changed in another way
    assert sorted(trainer_of(photos).batches.order(0)) == list(
        range(18)
    )  # shuffled: each photo once


def known(logits_K: tuple[float, ...]) -> Classifier:
    """Return a classifier that answers every photo with the same logits."""
    weight_DK = np.zeros((WIDTH, len(logits_K)), np.float32)
    return Classifier(Net(), Layers((Dense(weight_DK, np.array(logits_K, np.float32)),)), 0.0)


def first_loss(photos: TrainingPhotos, model: Classifier, **settings: Any) -> float:
    trainer = trainer_of(photos, model=model, batch=len(photos.labels_N), **settings)
    return float(steps(trainer)[0].loss)


def test_class_weights_count_a_rare_class_as_much_as_a_common_one() -> None:
    photos, model = photos_of((12, 4)), known((1.0, 0.0))
    of_first, of_second = math.log(1 + math.exp(-1)), math.log(1 + math.exp(1))  # -log softmax
    assert first_loss(photos, model) == pytest.approx((12 * of_first + 4 * of_second) / 16)
    even = first_loss(photos, known((1.0, 0.0)), class_weight="balanced")
    assert even == pytest.approx((of_first + of_second) / 2)


def test_a_class_without_training_photos_is_still_one_of_the_classes() -> None:
    trainer = trainer_of(photos_of((6, 2)), model=known((0, 0, 0)), class_weight="balanced")
    assert trainer.learner.weight_K[:2].tolist() == pytest.approx([8 / (2 * 6), 8 / (2 * 2)])
    assert float(steps(trainer)[0].loss) == pytest.approx(math.log(3))


def test_label_smoothing_spreads_a_share_of_the_target_over_all_classes() -> None:
    found = first_loss(photos_of((8,)), known((1.0, 0.0)), label_smoothing=0.1)
    of_first, of_second = math.log(1 + math.exp(-1)), math.log(1 + math.exp(1))
    assert found == pytest.approx(0.95 * of_first + 0.05 * of_second)


def test_mixing_leaves_the_share_of_each_class_in_a_batch() -> None:
    photos = photos_of((12, 4))
    plain = first_loss(photos, known((1.0, 0.0)))
    for mixing in ({"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 0.4, "cutmix": 1.0}):
        assert first_loss(photos, known((1.0, 0.0)), **mixing) == pytest.approx(plain)


def test_squares_may_lie_on_disk_where_nothing_can_be_written(tmp_path: Path) -> None:
    photos = photos_of((16, 16))
    on_disk = {}
    for name in ("squares_NHWC", "inputs_VHWC"):
        np.save(tmp_path / f"{name}.npy", getattr(photos, name))
        on_disk[name] = np.load(tmp_path / f"{name}.npy", mmap_mode="r")
    losses = [float(step.loss) for step in steps(trainer_of(photos))]
    assert [float(step.loss) for step in steps(trainer_of(replace(photos, **on_disk)))] == losses


# When it ends


def test_two_colours_are_told_apart_after_a_few_passes() -> None:
    model = model_of(shaken(Net()), dropout=0.2)
    trainer = trainer_of(
        model=model, augment="classic", ema=0.5, stages=(Stage(epochs=6, rate=0.03),)
    )
    epochs = [event for event in trainer if isinstance(event, Epoch)]
    assert [epoch.number for epoch in epochs] == [0, 1, 2, 3, 4, 5, 6]
    assert epochs[0].val_loss == pytest.approx(math.log(2))  # an untrained head knows nothing
    assert math.isnan(epochs[0].train_loss)
    assert epochs[-1].val_accuracy == 1
    assert epochs[-1].train_loss < 0.5
    assert trainer.state.place.finished


def test_the_loss_of_a_pass_is_its_steps_mean_however_rarely_it_is_looked_at() -> None:
    for look_every in (1, 3, 16):
        trainer = trainer_of()
        trainer.look_every = look_every
        events = list(trainer)
        losses = [float(one.loss) for one in events if isinstance(one, Step)]
        epochs = [one for one in events if isinstance(one, Epoch)]
        assert epochs[1].train_loss == pytest.approx(sum(losses[:4]) / 4)
        assert epochs[2].train_loss == pytest.approx(sum(losses[4:]) / 4)


def test_a_stage_that_gets_no_better_ends_early_and_keeps_its_best_weights() -> None:
    photos = photos_of((16, 16))
    wrong = replace(photos, labels_V=1 - photos.labels_V)  # the better it learns, the worse it is
    stages = (Stage(epochs=9, rate=0.01), Stage(epochs=9, part="head"))
    trainer = trainer_of(wrong, patience=2, stages=stages)
    before = copied(weights(trainer.state.model))
    epochs = [event for event in trainer if isinstance(event, Epoch)]
    assert [(one.stage, one.number, one.best) for one in epochs] == [
        (1, 0, True),
        (1, 1, False),
        (1, 2, False),
        (2, 1, False),
        (2, 2, False),
    ]
    now = weights(trainer.state.model)
    assert all(torch.equal(now[name], before[name]) for name in before)


def judged(trainer: Trainer, losses_V: list[float], *, last: bool) -> Epoch:
    """Let a pass end with these losses on validation, and return what became of it."""
    trainer.state.place.epoch, trainer.state.place.step = (1 if last else 0), trainer.steps
    logit_V = -np.log(np.expm1(np.array(losses_V)))  # of the right one of two classes
    right_V = torch.from_numpy(trainer.photos.labels_V)
    logits_VK = torch.zeros(len(right_V), 2)
    logits_VK[torch.arange(len(right_V)), right_V] = torch.from_numpy(logit_V).float()
    trainer.learner.logits = lambda: logits_VK  # type: ignore[method-assign]
    trainer.state.model.eval()
    with torch.no_grad():  # each judged pass has weights of its own
        for tensor in trainer.state.mean.values():
            tensor.add_(1)
    return trainer._validated()


@pytest.mark.parametrize(
    ("losses_V", "last", "kept"),
    [
        ([0.1, 0.1, 0.1, 0.7], True, True),  # worse on one photo alone: that may be chance
        ([0.1, 0.1, 0.1, 0.7], False, False),  # but the rate is still to fall
        ([0.3, 0.3, 0.3, 0.3], True, False),  # worse on every photo
        ([0.1, 0.1, 0.1, 3.0], True, False),  # worse than the network was before
    ],
)
def test_the_last_pass_is_kept_unless_it_is_worse_than_chance_explains(
    losses_V: list[float], last: bool, kept: bool
) -> None:
    trainer = trainer_of(photos_of((16, 16), validation=2))
    trainer.state.epochs.append(replace(BEFORE, val_loss=0.6))
    assert judged(trainer, [0.2, 0.2, 0.2, 0.2], last=False).best
    lowest = copied(trainer.state.mean)
    assert judged(trainer, losses_V, last=last).best is kept
    expected = trainer.state.mean if kept else lowest
    assert all(torch.equal(expected[name], one) for name, one in trainer.state.best.items())
    assert trainer.state.place.best_loss == pytest.approx(0.2)  # later stages have to beat the best


def test_a_pass_that_is_right_but_unsure_beats_one_that_is_sure_and_wrong() -> None:
    trainer = trainer_of(photos_of((16, 16), validation=100))
    assert judged(trainer, [0.05] * 190 + [2.0] * 10, last=False).best
    blended = judged(trainer, [0.4] * 198 + [1.2] * 2, last=False)  # as MixUp leaves a network
    assert blended.best
    assert blended.val_loss < 0.1475  # the mean of the first; of the second it is 0.408


def test_what_the_best_pass_had_of_each_photo_outlives_a_kill() -> None:
    trainer = trainer_of()
    list(trainer)
    again = State.of(model_of(shaken(Net())))
    again.restore(trainer.state.tensors(), trainer.state.note())
    assert trainer.state.lowest_V is not None
    assert again.lowest_V is not None
    assert torch.equal(again.lowest_V, trainer.state.lowest_V)
    older = {name: one for name, one in trainer.state.tensors().items() if "lowest" not in name}
    again.restore(older, trainer.state.note())  # what an older version wrote goes on too
    assert not again.as_good(trainer.state.lowest_V)


@pytest.mark.parametrize(("look_every", "step"), [(1, 2), (16, 4)])  # as on a CPU, as on a GPU
def test_a_loss_that_is_no_number_says_where_and_leaves_the_best_weights(
    look_every: int, step: int
) -> None:
    model = model_of(shaken(Net()))
    trainer = trainer_of(model=model, stages=(Stage(part="head", epochs=1), Stage(rate=0.25)))
    trainer.look_every = look_every
    events = iter(trainer)
    while trainer.state.place.stage == 0 or trainer.state.place.epoch == 0:
        next(events)
    next(events)
    kept = copied(trainer.state.best)
    model.net.low[0].bias.data.fill_(math.nan)  # type: ignore[index, union-attr]
    words = rf"at step {step} of pass 2 \(stage 2, rate 0\.25\)\. Try a lower rate: --rate 8e-02"
    with pytest.raises(TrainingDiverged, match=words):
        list(events)
    assert all(torch.equal(tensor, kept[name]) for name, tensor in trainer.state.best.items())
    assert all(bool(tensor.isfinite().all()) for tensor in kept.values())


class Narrow(Net):
    """A network for which more than ``room`` photos at once are too many to learn from."""

    room, asked, refused, bad_luck = 4, 0, 0, 0

    def forward_features(self, x_NCHW: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            self.asked += 1
            if len(x_NCHW) > self.room or self.asked == self.bad_luck:
                self.refused += 1
                raise torch.OutOfMemoryError("CUDA out of memory")
        return super().forward_features(x_NCHW)


def first_gradients(trainer: Trainer) -> dict[str, Tensor]:
    """Take a step, and return the moments it left: a tenth of its gradients each."""
    next(event for event in trainer if isinstance(event, Step))
    optimizer = trainer.state.optimizer
    assert optimizer is not None
    named = trainer.state.model.named_parameters()
    return {name: optimizer.state[one]["exp_avg"] for name, one in named if one.requires_grad}


def assert_same_gradients(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert set(found) == set(wanted)
    for name, gradient in wanted.items():
        assert torch.allclose(found[name], gradient, atol=1e-5 * float(gradient.abs().max()) + 1e-9)


@pytest.mark.parametrize(
    ("room", "batch", "parts"), [(4, 8, 2), (3, 8, 4), (1, 6, 6), (1, 8, 8), (5, 9, 2)]
)
def test_where_memory_is_short_a_batch_goes_through_in_parts(
    room: int, batch: int, parts: int
) -> None:
    net = Narrow()
    net.room = room
    whole, split = (trainer_of(model=model_of(shaken(one)), batch=batch) for one in (Net(), net))
    assert_same_gradients(first_gradients(split), first_gradients(whole))
    assert (whole.state.place.parts, split.state.place.parts) == (1, parts)
    refused = net.refused
    steps(split)
    assert net.refused == refused  # once was enough: the next batches come in parts at once


def test_what_was_learned_before_memory_ran_out_is_not_learned_twice() -> None:
    net = Narrow()
    net.bad_luck = 2  # the first half of the batch has its gradients, the second is refused
    whole, split = (trainer_of(model=model_of(shaken(one))) for one in (Net(), net))
    split.state.place.parts = 2
    assert_same_gradients(first_gradients(split), first_gradients(whole))
    assert split.state.place.parts == 4


def test_memory_that_is_short_for_a_single_photo_is_an_error() -> None:
    narrow = Narrow()
    narrow.room = 0
    with pytest.raises(torch.OutOfMemoryError):
        steps(trainer_of(model=model_of(shaken(narrow))))


def test_another_error_is_not_taken_for_short_memory() -> None:
    net = shaken(Net())
    net.high[0] = nn.Conv2d(5, WIDTH, 1)
    with pytest.raises(RuntimeError, match="channels"):
        steps(trainer_of(model=model_of(net)))


class Clock:
    """A clock that is a second later each time it is asked."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 1
        return self.now


def test_a_budget_ends_on_time_at_the_lowest_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer_module, "time", Clock())  # a step takes 1 s, a validation too
    trainer = trainer_of(minutes=1.0, stages=(Stage(epochs=500, rate=1e-3),), patience=99)
    found = list(trainer)
    assert 60 <= trainer.state.place.seconds <= 61  # the last validation begins at the end
    rates = [event.rate for event in found if isinstance(event, Step)]
    assert rates[-1] == pytest.approx(1e-5, rel=0.15)
    assert isinstance(found[-1], Epoch)
    assert trainer.state.place.finished


def test_stages_share_a_budget_and_the_last_takes_what_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trainer_module, "time", Clock())
    stages = (Stage(epochs=100, part="head"), Stage(epochs=300))
    trainer = trainer_of(minutes=1.0, stages=stages, patience=99)
    began = {}
    for _ in trainer:
        began[trainer.state.place.stage] = trainer.state.place.began
    assert 15 <= began[1] <= 16  # a quarter of a minute
    assert 60 <= trainer.state.place.seconds <= 61


def test_a_budget_that_is_not_needed_is_not_used_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer_module, "time", Clock())
    trainer = trainer_of(minutes=60.0, stages=(Stage(epochs=2, rate=1e-3),))
    found = list(trainer)
    assert [event.number for event in found if isinstance(event, Epoch)] == [0, 1, 2]
    rates = [event.rate for event in found if isinstance(event, Step)]
    assert rates[-1] < 0.2 * max(rates)  # the schedule knows that the passes end first


def test_training_photos_may_be_smaller_than_those_that_are_answered() -> None:
    sizes: dict[bool, set[int]] = {True: set(), False: set()}

    class Noting(Net):
        def forward_features(self, x_NCHW: Tensor) -> Tensor:
            sizes[self.training].add(x_NCHW.shape[-1])
            return super().forward_features(x_NCHW)

    steps(trainer_of(model=model_of(shaken(Noting())), train_size=12))
    assert sizes == {True: {12}, False: {16}}


def test_a_budget_that_the_first_look_takes_up_leaves_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trainer_module, "time", Clock())
    trainer = trainer_of(minutes=1 / 60, stages=(Stage(), Stage()))
    assert [type(event) for event in trainer] == [Epoch]
    assert trainer.state.place.finished


def test_training_leaves_torch_s_own_chance_alone() -> None:
    trainer = trainer_of(model=model_of(shaken(Net()), dropout=0.5), augment="strong")
    torch.manual_seed(3)
    wanted = torch.rand(4)
    torch.manual_seed(3)
    steps(trainer)
    assert torch.equal(torch.rand(4), wanted)


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_a_mixture_lies_so_far_on_the_way_from_the_frozen_weights(share: float) -> None:
    model = model_of(shaken(Net()))
    tuned = copied(weights(model))
    frozen = {name: tensor + 1 for name, tensor in tuned.items()}
    mix_weights(model, frozen, share)
    for name, tensor in weights(model).items():
        assert torch.allclose(tensor, tuned[name] + (1 - share), atol=1e-6)
