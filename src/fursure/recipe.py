"""Every knob of an experiment, as plain values: frozen dataclasses in, JSON out.

A `Recipe` is complete: the same recipe on the same photos with the same seed gives, on the
same machine, the same bundle bit for bit.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

Engine = Literal["auto", "onnxruntime", "openvino"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogisticRegression:
    """A linear head; its strength is chosen on validation log loss along a warm-started path."""

    strengths: tuple[float, ...] = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003)
    # L2 penalties on standardised features, per photo, strong to weak
    class_weight: Literal["none", "balanced"] = "none"


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
    class_weight: Literal["none", "balanced"] = "none"


Head = LogisticRegression | Mlp


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A complete experiment, from photos to bundle."""

    name: str = "linear-probe"
    backbone: str = "tiny"  # as `fursure backbones` explains
    head: Head = LogisticRegression()
    image_size: int | None = None  # pixels; None is what the backbone was trained with
    resize: Literal["crop", "squash", "pad"] | None = None  # None is the backbone's own way
    precision: Literal["fp32", "fp16"] = "fp32"  # storage of a converted backbone's weights
    validation: float = 0.1  # share of the photos
    test: float = 0.1  # share of the photos
    known_lost: float = 0.01  # share of known photos that may be called strangers
    cross_validate_below: int = 200  # photos of the smallest class; fewer: figures from folds
    folds: int = 5
    seed: int = 0
    note: str = ""  # what the model card should say besides

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; the head says which kind it is."""
        values = asdict(self)
        values["head"] = {"kind": type(self.head).__name__, **values["head"]}
        plain: dict[str, Any] = json.loads(json.dumps(values))  # tuples become lists
        return plain
