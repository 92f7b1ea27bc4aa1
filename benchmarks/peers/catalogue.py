"""The peers, what each is asked to install, and what its figures can say.

Versions are pinned: a peer's time is a fact about a version. Ultralytics is under the AGPL-3.0; it
is installed into an environment of its own to be measured, and is never a dependency of ours.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHARED = Path(os.environ.get("FURSURE_DATA", ROOT.parent / "shared"))
WEIGHTS = str(SHARED / "weights" / "mobilenetv2_100.tf_in1k")


@dataclass(frozen=True, slots=True)
class Environment:
    """What one virtual environment holds; peers of the same name share it."""

    name: str
    packages: tuple[str, ...]  # as `uv pip install` takes them


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One row: a script of this folder, run in an environment of its own."""

    name: str
    what: str  # the network, its weights, the head
    environment: Environment
    script: str | None  # a module; None is fursure itself, through its command line
    options: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    random: bool = False  # weights could not be had: its time counts, its accuracy does not


_TORCH = ("torch==2.15.0", "torchvision==0.29.2")
_TIMM = Environment("timm", (*_TORCH, "timm==1.0.31", "scikit-learn==1.9.1"))
_TORCHVISION = Environment("torchvision", (*_TORCH, "scikit-learn==1.9.1"))
_VYNTRI = Environment("vyntri", (*_TORCH, "vyntri==1.5.0"))
# Refreshed: uv would take the wheel it once built from this folder.
_OURS = ("--constraint", str(ROOT / "requirements.lock"), "--refresh-package", "fursure")
_SCRIPTS = "benchmarks.peers"

PEERS = (
    Peer(
        name="fursure",
        what="lite0, logistic regression; figures with intervals, calibration, a page",
        environment=Environment("fursure", (f"{ROOT}[train,fast]", *_OURS)),
        script=None,
    ),
    Peer(
        name="fursure-mobilenetv2",
        what="the same on timm's MobileNetV2, conversion from its weights included",
        environment=Environment("fursure-torch", (f"{ROOT}[train,fast,torch]", *_OURS)),
        script=None,
        options=("--backbone", WEIGHTS),
    ),
    Peer(
        name="timm",
        what="timm's MobileNetV2, eager in fp32, scikit-learn",
        environment=_TIMM,
        script=f"{_SCRIPTS}.timm_sklearn",
        options=(WEIGHTS,),
    ),
    Peer(
        name="timm-compiled",
        what="the same in bf16, channels last, torch.compile, frozen weights",
        environment=_TIMM,
        script=f"{_SCRIPTS}.timm_sklearn",
        options=(WEIGHTS, "compiled"),
        env={"TORCHINDUCTOR_FREEZING": "1"},  # folds and packs the weights: over twice as fast
    ),
    Peer(
        name="torchvision",
        what="torchvision's MobileNetV2, eager in fp32, scikit-learn",
        environment=_TORCHVISION,
        script=f"{_SCRIPTS}.torchvision_sklearn",
        random=True,
    ),
    Peer(
        name="keras-tensorflow",
        what="Keras' MobileNetV2 on TensorFlow, a dense layer",
        environment=Environment("keras-tensorflow", (
            "keras==3.15.1", "tensorflow-cpu==2.21.0", "pillow==13.0.0",
        )),
        script=f"{_SCRIPTS}.keras_dense",
        env={"KERAS_BACKEND": "tensorflow"},
        random=True,
    ),
    Peer(
        name="keras-torch",
        what="Keras' MobileNetV2 on torch, a dense layer",
        environment=Environment("keras-torch", (
            "keras==3.15.1", "grain==0.2.18", "pillow==13.0.0", *_TORCH,
        )),
        script=f"{_SCRIPTS}.keras_dense",
        env={"KERAS_BACKEND": "torch"},
        random=True,
    ),
    Peer(
        name="fastai",
        what="timm's MobileNetV2 under fastai's head, one epoch of the head",
        environment=Environment("fastai", (*_TORCH, "fastai==2.8.12", "timm==1.0.31")),
        script=f"{_SCRIPTS}.fastai_learner",
        options=(WEIGHTS,),
    ),
    Peer(
        name="vyntri",
        what="MobileNetV3-Small (a fifth of the work), its default; closed form",
        environment=_VYNTRI,
        script=f"{_SCRIPTS}.vyntri_model",
        options=("mobilenet_v3_small",),
        random=True,
    ),
    Peer(
        name="vyntri-efficientnet",
        what="EfficientNet-B0, the sibling of lite0; closed form",
        environment=_VYNTRI,
        script=f"{_SCRIPTS}.vyntri_model",
        options=("efficientnet_b0",),
        random=True,
    ),
    Peer(
        name="ultralytics",
        what="YOLO11n-cls, all but the head frozen, one epoch (AGPL-3.0: measured only)",
        environment=Environment("ultralytics", (*_TORCH, "ultralytics==8.4.190")),
        script=f"{_SCRIPTS}.ultralytics_classify",
        env={"YOLO_AUTOINSTALL": "false", "YOLO_OFFLINE": "true"},
        random=True,
    ),
    Peer(
        name="autogluon",
        what="AutoGluon's embeddings of timm's MobileNetV2, scikit-learn",
        environment=Environment("autogluon", ("autogluon.multimodal==1.6.3",)),
        script=f"{_SCRIPTS}.autogluon_multimodal",
        random=True,
    ),
)  # fmt: skip
