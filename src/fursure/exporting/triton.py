"""A model → a model repository, as Triton and KServe's ONNX runtime load one."""

import re

import numpy as np

from fursure.exporting.examples import template
from fursure.exporting.folder import filled_in
from fursure.exporting.plain import exported_card, readme
from fursure.exporting.ported import Ported

MOST_PHOTOS = 32  # in one call of the network, unless asked otherwise
_TYPES = {"float32": "TYPE_FP32", "int64": "TYPE_INT64"}


def plain_name(name: str) -> str:
    """Return a model's name as file systems, Triton and Kubernetes take one."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-") or "model"


def triton_files(made: Ported, most: int = MOST_PHOTOS) -> dict[str, bytes]:
    """Return a repository of the one model, which takes up to ``most`` photos at once."""
    name = plain_name(made.predictor.bundle.meta.name)
    labels = "".join(f"{label}\n" for label in made.predictor.bundle.meta.labels)
    return {
        f"{name}/config.pbtxt": _config(made, name, most),
        f"{name}/1/model.onnx": made.onnx,
        f"{name}/labels.txt": labels.encode(),
        f"{name}/card.md": exported_card(made, "a model repository"),
        f"{name}/README.md": filled_in(readme(made, "triton.md"), {"served": name}),
    }


def _config(made: Ported, name: str, most: int) -> bytes:
    """Return what Triton has to know; shapes are those that come out."""
    golden_NHWC = made.predictor.bundle.golden.pixels_NHWC
    outputs = made.predictor.network.session(golden_NHWC[:1])
    values = {
        "served": name,
        "most": str(most),
        "input": ", ".join(map(str, golden_NHWC.shape[1:])),
        "outputs": ",\n".join(_output(key, value) for key, value in outputs.items()),
    }
    return filled_in(template("config.pbtxt"), values)


def _output(name: str, value_1: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]") -> str:
    dims = ", ".join(map(str, value_1.shape[1:]))
    labels = ' label_filename: "labels.txt"' if name == "probs" else ""
    return (
        f'  {{ name: "{name}" data_type: {_TYPES[str(value_1.dtype)]} dims: [ {dims} ]{labels} }}'
    )
