"""Every knob of an experiment and its range, as plain values: frozen dataclasses in, JSON out.

A `Recipe` is complete: the same recipe on the same photos with the same seed gives, on the
same machine, the same bundle bit for bit (a budget of minutes excepted).
"""

import json
from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar, Literal

from fursure.ranges import Number, Several, Text, Whole

ClassWeight = Literal["none", "balanced"]
BACKBONE_KINDS = {  # how each kind is written; `hub` is loaded by `load_hub` of backbones/hub.py
    "package": "lite0, lite1, lite2",
    "hub": "timm:NAME, hub:ORG/REPO",
    "bundle": "a .fursure bundle",
    "onnx": "an .onnx file beside its config.json",
    "weights": "an .h5 or .keras file, or a folder with config.json and model.safetensors",
}

SHARE = Number(0, 1, open="high")
DECAY = Number(0, 1, open="low")
RATE = Number(0, 10, open="low")
COUNT = Whole(1, 10_000)
MIXING = Number(0, 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogisticRegression:
    """A linear head; its strength is chosen on validation log loss along a warm-started path."""

    strengths: Annotated[tuple[float, ...], Several(Number(0, 1e6, open="low"), 100)] = (
        1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003,
    )  # fmt: skip
    # L2 penalties on standardised features, per photo, strong to weak
    class_weight: ClassWeight = "none"
    patience: ClassVar[int] = 1  # strengths without a better validation log loss end the path
    step: ClassVar[str] = "strength"  # what its candidates are told apart by


@dataclass(frozen=True, slots=True, kw_only=True)
class Mlp:
    """Dense layers on the features, trained by Adam with a decaying rate."""

    hidden: Annotated[tuple[int, ...], Several(Whole(1, 65_536), 8)] = (256,)
    # units of each hidden layer
    dropout: Annotated[float, SHARE] = 0.5  # share of hidden units switched off at each step
    l2: Annotated[float, Number(0, 1e3)] = 1e-3  # penalty on the weights, per photo
    epochs: Annotated[int, COUNT] = 60  # at most; the best epoch on validation log loss is kept
    patience: Annotated[int, COUNT] = 8
    # epochs without a better validation log loss before stopping
    rate: Annotated[float, RATE] = 1e-3  # first learning rate of Adam (Kingma & Ba, ICLR 2015)
    decay: Annotated[float, DECAY] = 0.95  # the rate is multiplied by this after every epoch
    batch: Annotated[int, COUNT] = 128  # photos a step
    class_weight: ClassWeight = "none"
    step: ClassVar[str] = "pass"  # what its candidates are told apart by


Head = LogisticRegression | Mlp
HEADS: dict[str, type[Head]] = {  # by flag; `mlp` is fitted by `fit_mlp` of heads/mlp.py
    "logistic": LogisticRegression,
    "mlp": Mlp,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A part of the network that trains, for a while, at a rate."""

    part: Literal["head", "last-block", "all"] = "all"  # the rest stays frozen
    epochs: Annotated[int, COUNT] = 4  # passes over the training photos
    rate: Annotated[float, RATE] = 1e-4  # highest learning rate: after the warm-up, at the head


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTune:
    """Training of the network itself, by AdamW (Loshchilov & Hutter, ICLR 2019)."""

    stages: tuple[Stage, ...] = (Stage(),)
    start: Literal["fitted", "random"] = "fitted"
    # fitted: the head begins where it fits the frozen features (Kumar et al., ICLR 2022)
    train_size: Annotated[int | None, Whole(32, 1_024)] = None
    # pixels a side of what is trained on, less than of what is answered (Touvron et al., NeurIPS
    # 2019): a crop magnifies what it shows, and costs less; None is the size that is answered
    runs: Annotated[int, Whole(1, 20)] = 1
    # trainings, each by other chances; the model's answer is their mean
    beside: Annotated[str | None, Text(1, 1_000)] = None
    # a frozen backbone whose answers join the mean, and by whose features strangers are known
    mix: Annotated[float, Number(0, 1, open="low")] = 1.0
    # share of the way from the frozen weights to the trained ones (Wortsman et al., CVPR 2022)
    augment: Literal["none", "classic", "strong"] = "strong"
    batch: Annotated[int, COUNT] = 32  # photos a step
    layer_decay: Annotated[float, DECAY] = 0.9
    # the rate is multiplied by this for each layer below the head
    weight_decay: Annotated[float, Number(0, 1)] = 0.02
    warmup: Annotated[float, SHARE] = 0.06
    # share of a stage's steps in which the rate rises; then a cosine falls
    label_smoothing: Annotated[float, SHARE] = 0.0  # share of the target spread over all classes
    mixup: Annotated[float, MIXING] = 0.0
    # Beta(a, a) of the mixing weight (Zhang et al., ICLR 2018); 0 is off
    cutmix: Annotated[float, MIXING] = 0.0
    # the same for pasted rectangles (Yun et al., ICCV 2019); 0 is off
    dropout: Annotated[float, SHARE] = 0.2
    # share of the features switched off in front of the head
    ema: Annotated[float, SHARE] = 0.998
    # decay a step of the averaged weights, which are those kept; 0 is off
    batch_norm: Literal["frozen", "live"] = "frozen"  # live: statistics follow the photos
    patience: Annotated[int, COUNT] = 5
    # epochs without a better validation log loss before a stage ends
    class_weight: ClassWeight = "none"
    sampling: Literal["shuffled", "balanced"] = "shuffled"  # balanced: classes equally often
    precision: Literal["auto", "fp32", "bf16"] = "auto"  # auto: bf16 where the chip multiplies it
    minutes: Annotated[float | None, Number(0, 100_000, open="low")] = None
    # of wall time at most, stages and runs together; no limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A complete experiment, from photos to bundle."""

    name: Annotated[str, Text(1, 100)] = "linear-probe"
    backbone: Annotated[str | tuple[str, ...], Several(Text(1, 1_000), 8, alone=True)] = "lite0"
    # as `fursure backbones` explains; of several the features are concatenated
    features_output: Annotated[str | None, Text(1, 1_000)] = None
    # the tensor of an .onnx backbone that holds its features
    head: Head = LogisticRegression()
    tune: FineTune | None = None  # None: the backbone stays frozen
    image_size: Annotated[int | None, Whole(32, 1_024)] = None
    # pixels; None is what the backbone was trained with
    resize: Literal["crop", "squash", "pad"] | None = None  # None is the backbone's own way
    flips: bool = False  # every answer is the mean of a photo's and its mirror image's features
    precision: Literal["fp32", "fp16", "int8"] = "fp32"
    # of a frozen backbone's weights; int8 computes so too, calibrated on some of the photos
    photos: Annotated[int | None, Whole(2, 10**9)] = None
    # of the training photos so many at most, evenly by class
    validation: Annotated[float, Number(0.01, 0.5)] = 0.1  # share of the photos
    test: Annotated[float, Number(0.01, 0.5)] = 0.1  # share of the photos
    known_lost: Annotated[float, Number(0, 0.5)] = 0.01
    # share of known photos that may be called strangers
    cross_validate_below: Annotated[int, Whole(0, 10**6)] = 2000
    # usable photos in all; fewer: figures from folds
    folds: Annotated[int, Whole(2, 100)] = 5
    seed: Annotated[int, Whole(0, 2**32 - 1)] = 0  # what every generator takes
    note: Annotated[str, Text(0, 2_000, lines=True)] = ""  # what the model card should say besides

    @property
    def from_scratch(self) -> bool:
        """Return whether the network begins with random weights."""
        return isinstance(self.backbone, str) and self.backbone.startswith("scratch:")

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; the head says which kind it is."""
        values = asdict(self)
        values["head"] = {"kind": type(self.head).__name__, **values["head"]}
        plain: dict[str, Any] = json.loads(json.dumps(values))  # tuples become lists
        return plain
