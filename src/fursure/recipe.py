"""Every knob of an experiment, as plain values: frozen dataclasses in, JSON out.

A `Recipe` is complete: the same recipe on the same photos with the same seed gives, on the
same machine, the same bundle bit for bit (a budget of minutes excepted).
"""

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

Engine = Literal["auto", "onnxruntime", "openvino"]
ClassWeight = Literal["none", "balanced"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogisticRegression:
    """A linear head; its strength is chosen on validation log loss along a warm-started path."""

    strengths: tuple[float, ...] = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003)
    # L2 penalties on standardised features, per photo, strong to weak
    class_weight: ClassWeight = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mlp:
    """Dense layers on the features, trained by Adam with a decaying rate."""

    hidden: tuple[int, ...] = (256,)  # units of each hidden layer
    dropout: float = 0.5  # share of hidden units switched off at each step
    l2: float = 1e-3  # penalty on the weights, per photo
    epochs: int = 60  # at most; the best epoch on validation log loss is kept
    patience: int = 8  # epochs without a better validation log loss before stopping
    rate: float = 1e-3  # first learning rate of Adam (Kingma & Ba, ICLR 2015)
    decay: float = 0.95  # the rate is multiplied by this after every epoch
    batch: int = 128  # photos a step
    class_weight: ClassWeight = "none"


Head = LogisticRegression | Mlp


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A part of the network that trains, for a while, at a rate."""

    part: Literal["head", "last-block", "all"] = "all"  # the rest stays frozen
    epochs: int = 4  # passes over the training photos
    rate: float = 1e-4  # highest learning rate: after the warm-up, at the head


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTune:
    """Training of the network itself, by AdamW (Loshchilov & Hutter, ICLR 2019)."""

    stages: tuple[Stage, ...] = (Stage(),)
    start: Literal["fitted", "random"] = "fitted"
    # fitted: the head begins where it fits the frozen features (Kumar et al., ICLR 2022)
    train_size: int | None = None
    # pixels a side of what is trained on, less than of what is answered (Touvron et al., NeurIPS
    # 2019): a crop magnifies what it shows, and costs less; None is the size that is answered
    runs: int = 1  # trainings, each by other chances; the model's answer is their mean
    beside: str | None = None
    # a frozen backbone whose answers join the mean, and by whose features strangers are known
    mix: float = 1.0
    # share of the way from the frozen weights to the trained ones (Wortsman et al., CVPR 2022)
    augment: Literal["none", "classic", "strong"] = "strong"
    batch: int = 32  # photos a step
    layer_decay: float = 0.9  # the rate is multiplied by this for each layer below the head
    weight_decay: float = 0.02
    warmup: float = 0.06  # share of a stage's steps in which the rate rises; then a cosine falls
    label_smoothing: float = 0.0  # share of the target spread over all classes
    mixup: float = 0.0  # Beta(a, a) of the mixing weight (Zhang et al., ICLR 2018); 0 is off
    cutmix: float = 0.0  # the same for pasted rectangles (Yun et al., ICCV 2019); 0 is off
    dropout: float = 0.2  # share of the features switched off in front of the head
    ema: float = 0.998  # decay a step of the averaged weights, which are those kept; 0 is off
    batch_norm: Literal["frozen", "live"] = "frozen"  # live: statistics follow the photos
    patience: int = 5  # epochs without a better validation log loss before a stage ends
    class_weight: ClassWeight = "none"
    sampling: Literal["shuffled", "balanced"] = "shuffled"  # balanced: classes equally often
    precision: Literal["auto", "fp32", "bf16"] = "auto"  # auto: bf16 where the chip multiplies it
    minutes: float | None = None  # of wall time at most, stages and runs together; no limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A complete experiment, from photos to bundle."""

    name: str = "linear-probe"
    backbone: str | tuple[str, ...] = "lite0"
    # as `fursure backbones` explains; of several the features are concatenated
    features_output: str | None = None  # the tensor of an .onnx backbone that holds its features
    head: Head = LogisticRegression()
    tune: FineTune | None = None  # None: the backbone stays frozen
    image_size: int | None = None  # pixels; None is what the backbone was trained with
    resize: Literal["crop", "squash", "pad"] | None = None  # None is the backbone's own way
    flips: bool = False  # every answer is the mean of a photo's and its mirror image's features
    precision: Literal["fp32", "fp16"] = "fp32"  # storage of a converted backbone's weights
    photos: int | None = None  # of the training photos so many at most, evenly by class
    validation: float = 0.1  # share of the photos
    test: float = 0.1  # share of the photos
    known_lost: float = 0.01  # share of known photos that may be called strangers
    cross_validate_below: int = 2000  # usable photos in all; fewer: figures from folds
    folds: int = 5
    seed: int = 0
    note: str = ""  # what the model card should say besides

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
