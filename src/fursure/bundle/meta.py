"""``bundle.json`` ↔ a model's facts, read by a strict schema: a stranger may have written it."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from fursure import strict
from fursure.photos.preprocess import Preprocess
from fursure.strict import anything, keyed, listed, maybe, number, switch, table, whole
from fursure.sureness.risk import RiskTable

if TYPE_CHECKING:
    from fursure.metrics.classification import Evaluation

BUNDLE_FORMAT = 2  # 1 did not tell what photos a trained encoder has seen; it is read as well
UNCERTIFIED = 0.9  # confidence for an answer without a certificate; none lowers it unasked

MOST_CLASSES = 2**17
MANY = 1e6  # no figure of a model is larger, in nats or shares

words = strict.text(1000)
share = number(0, 1)
estimate = table(
    {
        "value": maybe(number(-MANY, MANY)),
        "low": number(-MANY, MANY),
        "high": number(-MANY, MANY),
        "n": maybe(whole()),
        "percent": switch,
    }
)
scores = table(
    {
        "label": words,
        "support": whole(),
        "predicted": whole(),
        "precision": maybe(estimate),
        "recall": maybe(estimate),
        "f1": maybe(estimate),
    }
)


founding = {  # what every version wrote
    "basis": words,
    "labels": listed(words, least=2, most=MOST_CLASSES),
    "n": whole(1),
    "top5": maybe(estimate),
    "roc_auc": maybe(estimate),
    "classes": listed(scores, most=MOST_CLASSES),
    "confusion": listed(listed(whole(), most=MOST_CLASSES), most=MOST_CLASSES),
} | dict.fromkeys(
    (
        "accuracy",
        "balanced_accuracy",
        "macro_precision",
        "macro_f1",
        "log_loss",
        "brier",
        "calibration_error",
    ),
    estimate,
)
confused = listed(listed(whole(), least=3, most=3), most=1000)


def figures(value: Any, place: str) -> None:
    """Check an evaluation; a metric that is younger than its bundle may be missing."""
    table(founding, confused=confused)(value, place)
    if younger := value.keys() - founding.keys() - {"confused"}:
        from fursure.metrics.catalogue import METRICS  # else `predict` starts without them

        for key in younger & METRICS.keys():
            maybe(estimate)(value[key], f"{place}.{key}")


strangers = table(
    {
        "digest": words,
        "taught": whole(),
        "used": switch,
        "accepted": estimate,
        "accepted_without": estimate,
    }
)
risk = table(
    {
        "max_error": share,
        "threshold": maybe(share),
        "accepted": whole(),
        "errors": whole(),
        "bound": maybe(share),
        "needed": maybe(whole()),
    }
)
SCHEMA: Mapping[str, strict.Check] = {
    "name": words,
    "preprocess": table({"crop": number(0.01, 1)}),  # `Preprocess` knows the rest
    "features": whole(1, 2**20),
    "temperature": number(1e-3, 1e3),
    "max_error": share,
    "risks": table({"rows": listed(risk, least=1, most=100), "n": whole(), "delta": share}),
    "engine_gap": share,
    "backbone": words,
    "licence": words,
    "recipe": table(
        {
            "name": words,
            "backbone": anything,  # one or several, by name
            "head": table({"kind": words}),
            "seed": whole(),
            "note": strict.text(100_000),
        },
        tune=maybe(table({}, beside=maybe(words))),
        known_lost=share,
    ),
    "data": table(
        {
            "digest": words,
            "photos": keyed(keyed(whole(), most=10), most=MOST_CLASSES),
            "left_out": whole(),
            "near_duplicates": whole(),
            "engine": words,
            "backbone": words,
        },
        encoder=words,
        features=listed(words, most=100),
        seen_by_encoder=whole(),
        spare=whole(),
        strangers=strangers,
    ),
    "figures": figures,
    "versions": keyed(words, most=100),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """The contents of ``bundle.json``."""

    name: str
    labels: tuple[str, ...]
    preprocess: Preprocess
    features: int  # D
    temperature: float  # > 1 softens overconfident logits (Guo et al., ICML 2017)
    max_error: float  # the risk accepted when the user states none
    risks: RiskTable  # risk -> confidence threshold
    engine_gap: float  # largest |difference| of a probability between engines, as trained
    backbone: str
    licence: str  # of the backbone's weights
    recipe: Mapping[str, Any]
    data: Mapping[str, Any]  # digest, photos of each class and split
    figures: Mapping[str, Any]  # an `Evaluation` as JSON, and what it was measured on
    versions: Mapping[str, str] = field(default_factory=dict)
    format: int = BUNDLE_FORMAT

    @property
    def default_threshold(self) -> float:
        """Return the confidence from which the model answers unless asked otherwise."""
        return max(UNCERTIFIED, self.risks.threshold_for(self.max_error) or 0.0)

    @property
    def evaluation(self) -> "Evaluation":
        """The figures, without what they were measured on."""
        from fursure.metrics.classification import Evaluation  # `predict` starts without it

        return Evaluation.from_json({k: v for k, v in self.figures.items() if k != "basis"})

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        values = {name.name: getattr(self, name.name) for name in fields(self)}
        return values | {
            "labels": list(self.labels),
            "preprocess": self.preprocess.to_json(),
            "risks": self.risks.to_json(),
        }

    @classmethod
    def from_json(cls, values: Any) -> "Meta":
        """Return what ``to_json`` wrote; what an older version did not write has its default.

        Raises:
            ValueError: a value is missing, unknown or impossible.
        """
        if not isinstance(values, dict):
            raise ValueError("bundle.json is no table")
        version = values.get("format")
        if type(version) is not int or version < 1:
            raise ValueError(f"its format is {version!r}, which no fursure wrote")
        if version > BUNDLE_FORMAT:
            raise ValueError(
                f"its format is {version} and this fursure reads up to {BUNDLE_FORMAT}; "
                "upgrade fursure"
            )
        if unknown := values.keys() - {knob.name for knob in fields(cls)}:
            raise ValueError(f"bundle.json holds {', '.join(sorted(unknown))}, which is unknown")
        needed = {
            knob.name for knob in fields(cls) if knob.default is knob.default_factory is MISSING
        }
        if lacking := needed - values.keys():
            raise ValueError(f"bundle.json lacks {', '.join(sorted(lacking))}")
        for name, check in SCHEMA.items():
            if name in values:
                check(values[name], f"bundle.json: {name}")
        labels = _labels(values["labels"])
        _check_figures(values["figures"], labels)
        read = {
            "labels": labels,
            "preprocess": Preprocess.from_json(values["preprocess"]),
            "risks": RiskTable.from_json(values["risks"]),
        }
        return cls(**values | read)


def _check_figures(values: Mapping[str, Any], labels: tuple[str, ...]) -> None:
    classes = len(labels)
    rows = values["confusion"]
    square = not rows or (len(rows) == classes and all(len(row) == classes for row in rows))
    inside = all(max(cell[:2]) < classes for cell in values.get("confused", ()))
    if values["labels"] != list(labels) or not square or not inside:
        raise ValueError("figures in bundle.json are of other labels than the model's")


def _labels(values: Any) -> tuple[str, ...]:
    if (
        not isinstance(values, list)
        or len(values) < 2
        or len(set(map(str, values))) != len(values)
        or not all(isinstance(value, str) and 0 < len(value) <= 200 for value in values)
        or not all(value.isprintable() for value in values)
    ):
        raise ValueError("its labels are not at least two different printable names")
    return tuple(values)
