"""A model → what it is: classes, figures, layers, preprocessing, what it was trained on."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fursure.bundle.bundle import Bundle
from fursure.errors import BadData, OutputExists, counted, some
from fursure.files import replacing
from fursure.graphs.outline import GraphLayer, outline_of
from fursure.metrics.classification import Evaluation, format_table
from fursure.report.picture import confusion_picture

_KINDS = 6  # of layers in a line
_BASES = {
    "test photos": "on test photos it had not seen",
    "cross-validation": "by cross-validation, each photo by a model that had not seen it",
}


@dataclass(frozen=True, slots=True)
class Described:
    """What is known of a model without any photo."""

    bundle: Bundle
    layers: tuple[GraphLayer, ...]

    @classmethod
    def of(cls, bundle: Bundle) -> "Described":
        """Return what ``bundle`` says of itself, and the layers of its network."""
        return cls(bundle, tuple(outline_of(bundle.model)))

    @property
    def evaluation(self) -> Evaluation:
        """The figures it was published with."""
        return self.bundle.meta.evaluation

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values: all of ``bundle.json``, the layers, and the digest."""
        network = {
            "bytes": len(self.bundle.model),
            "weights": self._weights(),
            "layers": [layer.to_json() for layer in self.layers],
        }
        digest = self.bundle.digest
        return self.bundle.meta.to_json() | {"network": network, "model_digest": digest}

    def lines(self) -> Iterator[str]:
        """Yield it as text."""
        meta = self.bundle.meta
        facts = {
            "model": meta.name,
            "tells apart": some(meta.labels, most=20),
            "backbone": f"{meta.backbone}, licence of its weights: {meta.licence}",
            "network": self._network(),
            "head": f"{meta.recipe['head']['kind']}, {meta.features:,} features → "
            f"{len(meta.labels)} classes",
            "photos": self._preprocessing(),
            "answers": f"with a label from {meta.default_threshold:.4f} confidence on, and from "
            f"{self.bundle.familiar.threshold:.2g} familiarity on",
            "trained on": self._data(),
            "recipe": f"{meta.recipe['name']}, seed {meta.recipe['seed']}",
            "made with": ", ".join(f"{name} {text}" for name, text in meta.versions.items()),
            "digest": self.bundle.digest[:16],
        }
        width = max(map(len, facts))
        yield from (f"{name:{width}}  {value}" for name, value in facts.items())
        yield ""
        yield f"measured {_BASES[meta.figures['basis']]}"
        yield from format_table(self.evaluation).splitlines()

    def _weights(self) -> int:
        return sum(layer.weights for layer in self.layers)

    def _network(self) -> str:
        kinds = Counter(layer.kind for layer in self.layers).most_common()
        named = some((f"{count} {kind}" for kind, count in kinds), most=_KINDS)
        size = len(self.bundle.model) / 1e6
        return f"{size:.1f} MB, {self._weights():,} weights: {named}"

    def _preprocessing(self) -> str:
        preprocess = self.bundle.meta.preprocess
        share = f" of {preprocess.crop:.3g}" if preprocess.mode == "crop" else ""
        mean, std = (
            "/".join(f"{value:.3g}" for value in rgb) for rgb in (preprocess.mean, preprocess.std)
        )
        size = f"{preprocess.size} × {preprocess.size} px, {preprocess.mode}{share}"
        return f"{size}, {preprocess.interpolation}; mean {mean}, std {std}"

    def _data(self) -> str:
        parts: Counter[str] = Counter()
        for splits in self.bundle.meta.data["photos"].values():
            parts.update(splits)
        named = {"train": "to learn from", "val": "to choose and certify", "test": "to measure"}
        shown = ", ".join(f"{parts[part]:,} {what}" for part, what in named.items() if parts[part])
        classes = self.bundle.meta.data["photos"]
        each = some((f"{label} {sum(classes[label].values()):,}" for label in classes), most=8)
        return f"{counted(parts.total(), 'photo')}: {shown} ({each})"


def write_confusion(described: Described, path: Path, *, overwrite: bool) -> None:
    """Write the table of true classes and answers as a PNG.

    Raises:
        BadData: there are too many classes for a table, or none was kept.
        OutputExists: something lies there.
    """
    evaluation = described.evaluation
    if not evaluation.confusion:
        classes = len(evaluation.labels)
        raise BadData(
            f"the model has {classes} classes, too many for a picture; its largest confusions are "
            "in --json under figures."
        )
    if path.exists() and not overwrite:
        raise OutputExists(path, "a file")
    picture = confusion_picture(evaluation.confusion, evaluation.labels)
    with replacing(path) as file:
        picture.save(file, "PNG")
