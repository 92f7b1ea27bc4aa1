"""What a model can be exported to: a name on the command line → what makes its files."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fursure.engine.predictor import Predictor
from fursure.exporting.halves import halved
from fursure.exporting.runtime import web_runtime
from fursure.exporting.web import web_files

StoredAs = Literal["fp32", "fp16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What was asked for beside the target."""

    precision: StoredAs = "fp32"  # of the weights as they are stored
    runtime: Path | None = None  # a folder with onnxruntime-web


NOTHING_ELSE = Wishes()


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The files of a target by their paths in its folder, and what is worth saying of them."""

    files: Mapping[str, bytes]
    remarks: tuple[str, ...] = ()


def _web(predictor: Predictor, wishes: Wishes) -> Made:
    runtime = web_runtime(wishes.runtime)
    network, remarks = predictor.bundle.model, [f"the page runs on {runtime.source}"]
    if wishes.precision == "fp16":
        network, gap = halved(predictor)
        remarks.append(f"with weights in fp16 probabilities move by up to {gap:.4f} on drawings")
    return Made(files=web_files(predictor, runtime, network), remarks=tuple(remarks))


TARGETS: Mapping[str, Callable[[Predictor, Wishes], Made]] = {"web": _web}
