"""NET.onnx, with a timm `config.json` beside it → an encoder, with the normalisation in it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fursure.backbones.backbone import Backbone, BackboneSpec
from fursure.errors import BadBackbone
from fursure.networks.configuration import licence_of, photo_token, preprocess_of, read_config


def load_onnx(spec: BackboneSpec) -> Backbone | None:
    """Return the encoder in the file at that path; None: there is no such file.

    Raises:
        BadBackbone: it does not fit its configuration, or does not run.
    """
    path = spec.path
    if not (path.is_file() and path.suffix == ".onnx"):
        return None
    return from_onnx(path, read_config(path.parent), spec)


def from_onnx(path: Path, config: Mapping[str, Any], spec: BackboneSpec) -> Backbone:
    """Return the encoder in a file with this configuration.

    Raises:
        BadBackbone: they do not fit together, or it does not run.
    """
    from fursure.graphs.plain import from_normalised, parsed_graph

    preprocess = preprocess_of(config, spec.image_size)
    model = parsed_graph(path.read_bytes(), path)
    encoder = from_normalised(
        model,
        preprocess,
        features=spec.features,
        name=path.name,
        photo_token=photo_token(config),
    )
    _check_runs(encoder, preprocess.size, path.name, asked=spec.image_size is not None)
    return Backbone(
        name=path.stem,
        onnx=encoder,
        preprocess=preprocess,
        licence=licence_of(config),
    )


def _check_runs(encoder: bytes, size: int, name: str, *, asked: bool) -> None:
    """Refuse a network that asks for too much, for another size, or for one photo at a time.

    ``asked`` is whether somebody chose that size (pixels), and not its configuration.
    """
    from fursure.engine.first_run import check_first_run
    from fursure.engine.runtime import OnnxRuntime

    check_first_run(encoder)
    two_NHWC = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype=np.uint8)
    try:
        session = OnnxRuntime(encoder, threads=1)
        alone_ND = [session(two_NHWC[row : row + 1])["features"] for row in range(2)]
        both_ND = session(two_NHWC)["features"]
    except Exception as error:  # the runtime raises its own types
        # ONNX Runtime begins with a code, or the place in its own source, and ends with the reason
        said = str(error).strip().splitlines()[0].rpartition(" was false. ")[2]
        reason = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", said)[:200]
        remedy = (
            "leave --image-size out, for an export may take one size only"
            if asked
            else "correct the size in its configuration"
        )
        raise BadBackbone(
            f"{name} does not run on photos of {size} px ({reason}); {remedy}, or export it with a "
            "free batch dimension."
        ) from error
    if both_ND.ndim != 2 or both_ND.shape != (2, alone_ND[0].shape[-1]):
        raise BadBackbone(
            f"{name} gives features of shape {both_ND.shape} for two photos; it needs one row for "
            "each: export it with a free batch dimension, or name another tensor with "
            "--features-output."
        )
    if not np.allclose(both_ND, np.concatenate(alone_ND), rtol=1e-2, atol=1e-2):
        raise BadBackbone(
            f"{name} answers differently for one photo and for two; export it in evaluation mode."
        )
