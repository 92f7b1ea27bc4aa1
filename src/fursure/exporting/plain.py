"""A model → plain files for other programs: the network, all that belongs to it, and a proof."""

import hashlib
import json
from typing import Any

from fursure.exporting.examples import example_of, formula_of, template
from fursure.exporting.folder import filled_in
from fursure.exporting.ported import Ported
from fursure.npz import packed
from fursure.photos.decode import decode


def plain_files(made: Ported) -> dict[str, bytes]:
    """Return the ONNX network with what else another program needs, by names in its folder."""
    model = "model.onnx"
    return {model: made.onnx, **belongings(made, "ONNX"), "README.md": readme(made, "onnx.md")}


def belongings(made: Ported, kind: str) -> dict[str, bytes]:
    """Return what is the same beside a network of any ``kind``."""
    bundle = made.predictor.bundle
    return {
        "labels.txt": "".join(f"{label}\n" for label in bundle.meta.labels).encode(),
        "preprocess.json": _json(_preprocess(made)),
        "familiar.npz": packed(bundle.familiar.to_arrays()),
        "golden.jpg": bundle.golden.jpeg,
        "golden.rgb": _golden_pixels(made),
        "golden.json": _json(_golden(made)),
        "card.md": exported_card(made, kind),
    }


def exported_card(made: Ported, kind: str) -> bytes:
    """Return the model's card, and what became of the model on its way to a ``kind``."""
    lines = [f"- {remark}" for remark in made.remarks] or ["- weights as they were trained"]
    exported = "\n".join([f"Exported as {kind}:", "", *lines])
    return f"{made.predictor.bundle.card.rstrip()}\n\n{exported}\n".encode()


def readme(made: Ported, name: str) -> bytes:
    """Return the text of that ``name`` for this model."""
    bundle = made.predictor.bundle
    preprocess = bundle.meta.preprocess
    values = {
        "name": bundle.meta.name,
        "size": str(preprocess.size),
        "min_side": str(preprocess.min_side),
        "pixels": example_of(preprocess),
        "formula": formula_of(bundle.familiar),
        "threshold": repr(made.predictor.threshold),
        "batch": "any number of photos" if made.batch is None else f"exactly {made.batch} photos",
        "rows": str(made.batch or 1),
        "bound": str(made.bound),
        "remarks": "".join(f"\nMeasured when it was made: {line}.\n" for line in made.remarks),
    }
    return filled_in(template(name), values)


def _preprocess(made: Ported) -> dict[str, Any]:
    preprocess = made.predictor.bundle.meta.preprocess
    return preprocess.to_json() | {
        "min_side": preprocess.min_side,
        "decoding": "upright by its EXIF orientation, sRGB, on white. A JPEG is decoded at the "
        "smallest of 1, 1/2, 1/4 and 1/8 whose shorter side, rounded up, is min_side pixels or "
        "more; other formats are averaged down to it",
        "input": {"name": "pixels", "type": "uint8", "axes": "N, size, size, RGB"},
        "normalisation": "inside the network, as are the temperature and the softmax",
        "threshold": made.predictor.threshold,
    }


def _golden_pixels(made: Ported) -> bytes:
    bundle = made.predictor.bundle
    preprocess = bundle.meta.preprocess
    photo = decode(bundle.golden.jpeg, name="golden", min_side=preprocess.min_side)
    return preprocess(photo.image).tobytes()


def _golden(made: Ported) -> dict[str, Any]:
    answer = made.predictor.predict(made.predictor.bundle.golden.jpeg)
    return {
        "photo": "golden.jpg",
        "pixels": "golden.rgb",
        "sha256": hashlib.sha256(_golden_pixels(made)).hexdigest(),
        "labels": list(answer.probabilities),
        "probabilities": list(answer.probabilities.values()),
        "answer": answer.answer,
        "familiarity": answer.familiarity,
        "bound": made.bound,
    }


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1).encode() + b"\n"
