"""What the model says about one photo."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What the model says about one photo; of a bad photo, only ``path`` and ``error``."""

    path: str
    answer: str = ""  # a label, "unsure" or "stranger"
    label: str = ""  # the most probable class, whatever the answer
    confidence: float = float("nan")  # calibrated probability of ``label``, in [0, 1]
    probabilities: dict[str, float] = field(default_factory=dict)  # of every label
    familiarity: float = float("nan")  # share of known photos that are at most as familiar
    engine: str = ""
    error: str | None = None  # why there is no answer

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values: of a bad photo only path and error."""
        if self.error is not None:
            return {"path": self.path, "error": self.error}
        return {
            "path": self.path,
            "answer": self.answer,
            "label": self.label,
            "confidence": self.confidence,
            "probabilities": self.probabilities,
            "familiarity": self.familiarity,
            "engine": self.engine,
        }
