"""A bundle → the README of its repository on the hub: metadata that machines read, and words."""

import re
from collections.abc import Iterable

from fursure.bundle.meta import Meta
from fursure.errors import LicenceUnclear, MissingExtra
from fursure.metrics.catalogue import METRICS

try:
    from huggingface_hub import EvalResult, ModelCardData
except ImportError as error:
    raise MissingExtra("the Hugging Face Hub", "hub") from error

FREE = {  # licences that let anyone pass weights on, changed too; as the hub writes them
    "apache-2.0",
    "bsd-2-clause",
    "bsd-3-clause",
    "cc-by-4.0",
    "cc-by-sa-4.0",
    "cc0-1.0",
    "isc",
    "mit",
    "unlicense",
}
OWN = "none: own weights"  # of a network that began with random ones
_NAMES = re.compile(r"[a-z0-9][a-z0-9.+-]{0,59}")
_SAY = "say under which licence you pass it on: --licence, as in --licence apache-2.0"


def licence_for(meta: Meta, chosen: str | None) -> str:
    """Return the licence that a model is published under.

    That is the ``chosen`` one, else that of the encoder's weights, where they have one and it lets
    anyone pass them on.

    Raises:
        LicenceUnclear: they have not, and none was chosen.
    """
    if chosen is not None:
        licence = chosen.lower()
        if not _NAMES.fullmatch(licence):
            raise LicenceUnclear(f"{chosen!r} names no licence; write apache-2.0, mit or other.")
        return licence
    licences = meta.licence.split(" and ")
    if licences == [OWN]:
        raise LicenceUnclear(f"the weights of {meta.name} are your own; {_SAY}.")
    if unclear := [licence for licence in licences if licence.lower() not in FREE]:
        stated = "unknown" if unclear[0] == "unknown" else f"{unclear[0]!r}"
        raise LicenceUnclear(
            f"the licence of {meta.backbone}, the encoder of {meta.name}, is {stated}: its weights "
            "are in the model, and whether you may pass them on cannot be told from here. Look it "
            f"up where they are from; where you may, {_SAY}."
        )
    if len(licences) > 1:
        raise LicenceUnclear(
            f"the encoders of {meta.name} are under {' and '.join(licences)}; {_SAY}."
        )
    return licences[0].lower()


def hub_card(
    meta: Meta, card: str, *, name: str, licence: str, datasets: Iterable[str], files: Iterable[str]
) -> str:
    """Return the README of the repository ``name``: its metadata, the bundle's card, its files."""
    metadata = ModelCardData(
        library_name="fursure",
        pipeline_tag="image-classification",
        license=licence,
        tags=["image-classification", "onnx", "calibration", "out-of-distribution"],
        datasets=list(datasets) or None,
        model_name=meta.name,
        eval_results=_results(meta),
    )
    listed = "\n".join(f"- `{file}`: {ABOUT[file]}" for file in files)
    return (
        f"---\n{metadata.to_yaml()}\n---\n\n{card.rstrip()}\n\n"
        f"## Use\n\n```bash\npip install 'fursure[hub]'\n"
        f"fursure predict -m hub:{name} photo.jpg\n```\n\n"
        f"## Files\n\n{listed}\n\n"
        f"## Licence\n\n{_about_licence(meta, licence)}\n"
    )


ABOUT = {  # in the order in which they are listed
    "model.fursure": "the whole model, with its calibration, its thresholds and what it knows of "
    "strangers; the answers that the figures above are of",
    "model.onnx": "the network alone: `pixels` (uint8 N, H, W, 3, not normalised) to calibrated "
    "`probs`, `logits` and `features`; labels and preprocessing are in its metadata",
    "head.safetensors": "the layers after the encoder, from `features` to `logits`, as torch's "
    "`Linear` has them; ReLU lies between two",
    "preprocessor_config.json": "how a photo becomes `pixels`, as near as transformers can say it",
}


def _results(meta: Meta) -> list[EvalResult]:
    """Return each figure with its interval and its n, as the hub lists them."""
    evaluation = meta.evaluation
    results = []
    for key, metric in METRICS.items():
        if (figure := evaluation.figures[key]) is None or figure.value is None:
            continue
        interval = f"95 % interval {figure.low:.4f} to {figure.high:.4f}, n = {figure.n}"
        results.append(
            EvalResult(
                task_type="image-classification",
                dataset_type="imagefolder",
                dataset_name=f"own photos, digest {meta.data['digest'][:16]}",
                dataset_split=meta.figures["basis"],
                metric_type=key,
                metric_name=f"{metric.titled(evaluation.labels)}, {interval}",
                metric_value=round(figure.value, 6),
            )
        )
    return results


def _about_licence(meta: Meta, licence: str) -> str:
    own = f"This model is published under {licence}."
    if meta.licence == OWN:
        return own
    return f"{own} The weights of its encoder, {meta.backbone}, are under: {meta.licence}."
