"""What the model says about one photo."""

from dataclasses import dataclass, field
from typing import Any

from fursure.terminal.text import percent, printable

_SHOWN = 5  # classes in a notebook, the most probable first


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
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

    def __repr__(self) -> str:
        """Return photo and answer, on one line and without the probabilities."""
        return f"Prediction({self.path!r}: {printable(self._said)})"

    def _repr_html_(self) -> str:
        """Return the answer and the most probable classes, as a notebook shows them."""
        from html import escape  # an answer on a terminal starts without it

        def safe(text: str) -> str:
            return escape(printable(text))

        shares = sorted(self.probabilities.items(), key=lambda item: -item[1])[:_SHOWN]
        rows = "".join(f"<tr><td>{safe(n)}</td><td>{percent(p)}</td></tr>" for n, p in shares)
        return f"<strong>{safe(self._said)}</strong> {safe(self.path)}<table>{rows}</table>"

    @property
    def _said(self) -> str:
        """What it comes to, in a few words."""
        if self.error is not None:
            return f"error, {self.error}"
        sure = percent(self.confidence)
        match self.answer:
            case "unsure":
                return f"unsure, {self.label} {sure}?"
            case "stranger":
                return "stranger"
        return f"{self.answer}, {sure} sure"

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
