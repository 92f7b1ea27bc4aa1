"""Proof, each time a bundle is opened, that this engine on this machine gives its answers."""

import hashlib
from collections.abc import Callable

import numpy as np

from fursure.bundle.bundle import Bundle
from fursure.engine.runtime import Outputs, Pixels, Session
from fursure.errors import EngineFailed
from fursure.photos.decode import decode

SAME = 1e-3  # largest |difference| of a probability within one engine and precision
_PIXEL = 2  # grey levels another build of the JPEG library may differ by


def largest_deviation(session: Callable[[Pixels], Outputs], bundle: Bundle) -> float:
    """Return max |probability - the trainer's| over the golden pixels.

    Raises:
        ValueError: the outputs have other shapes than a bundle's.
    """
    golden = bundle.golden
    outputs = session(golden.pixels_NHWC)
    photos, classes = golden.probs_NK.shape
    needed = {"probs": classes, "logits": classes, "features": bundle.meta.features}
    for name, size in needed.items():
        if name not in outputs or outputs[name].shape != (photos, size):
            shape = outputs[name].shape if name in outputs else None
            raise ValueError(f"{name} have the shape {shape}, not {photos, size}")
    if "heat" in outputs and outputs["heat"].ndim != 3:
        raise ValueError(f"heat has {outputs['heat'].ndim} axes, not 3")
    return float(np.abs(outputs["probs"] - golden.probs_NK).max())


def check_pixels(bundle: Bundle) -> None:
    """Decode and prepare the golden photo.

    Raises:
        EngineFailed: the pixels are not those the trainer saw.
    """
    golden = bundle.golden
    photo = decode(golden.jpeg, name="golden", min_side=bundle.meta.preprocess.min_side)
    pixels_HWC = bundle.meta.preprocess(photo.image)
    if hashlib.sha256(pixels_HWC.tobytes()).hexdigest() != golden.digest:
        gap = np.abs(pixels_HWC.astype(int) - golden.pixels_NHWC[0]).max()
        if gap > _PIXEL:
            raise EngineFailed(
                f"this machine prepares photos differently: a golden pixel is off by {gap} of 255. "
                "Install the Pillow that this version of fursure is locked to."
            )


def check_answers(session: Session, bundle: Bundle) -> None:
    """Classify the golden inputs.

    Raises:
        EngineFailed: the answers are not those the trainer saw.
    """
    bound = SAME if session.engine.endswith("fp32") else max(SAME, bundle.meta.engine_gap)
    try:
        gap = largest_deviation(session, bundle)
    except Exception as error:  # engines raise their own types; the network may lack an output
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise EngineFailed(
            f"{session.engine} cannot run this model ({reason}). Try another --engine, or train "
            "the model again."
        ) from error
    if not gap <= bound:
        raise EngineFailed(
            f"{session.engine} answers differently from the machine this model was trained on: a "
            f"golden probability is off by {gap:.4f}, more than {bound:.4f}. Try another --engine."
        )
