"""Answers and models → small pieces of HTML for a notebook: no script, no link, names escaped."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from html import escape
from typing import Any

from fursure.bundle.meta import Meta
from fursure.errors import FursureError, counted, some
from fursure.metrics.intervals import Estimate
from fursure.photos.handed import opened_photo
from fursure.prediction import Prediction
from fursure.report.pictures import data_uri
from fursure.terminal.text import percent, printable

_SIDE = 64  # pixels of a thumbnail


def answers_html(predictions: Sequence[Prediction], photos: Sequence[Any]) -> str:
    """Return a table of the answers to ``photos``, the first of them, with thumbnails."""
    shown = list(zip(predictions, photos, strict=False))
    rows = "".join(_row(prediction, photo) for prediction, photo in shown)
    head = "<tr><th></th><th>answer</th><th>sure</th><th>photo</th></tr>" if shown else ""
    more = len(predictions) - len(shown)
    rest = f"<p>{'and ' if shown else ''}{counted(more, 'answer')}{' more' if shown else ''}</p>"
    return f"<table>{head}{rows}</table>{rest if more or not shown else ''}"


def model_html(meta: Meta, beside: Mapping[str, str]) -> str:
    """Return a model's card: its classes, its figures, and what stands ``beside``."""
    figures = meta.figures
    facts = {
        "classes": some(meta.labels, most=12),
        "backbone": meta.backbone,
        "accuracy": str(Estimate.from_json(figures["accuracy"])),
        "log loss": str(Estimate.from_json(figures["log_loss"])),
        "measured on": f"{figures['n']:,} photos ({figures['basis']})",
        **beside,
    }
    return card_html(meta.name, facts)


def card_html(title: str, facts: Mapping[str, str], notes: Iterable[str] = ()) -> str:
    """Return a title, a line for each fact, and what else is worth telling."""
    rows = "".join(
        f"<tr><th style='text-align:left'>{_safe(name)}</th>"
        f"<td style='text-align:left'>{_safe(value)}</td></tr>"
        for name, value in facts.items()
    )
    rest = "".join(f"<p>{_safe(note)}</p>" for note in notes)
    return f"<strong>{_safe(title)}</strong><table>{rows}</table>{rest}"


def lines_html(lines: Iterable[str]) -> str:
    """Return lines of text as they stand on a terminal."""
    return f"<pre>{escape(chr(10).join(map(printable, lines)))}</pre>"


def _row(prediction: Prediction, photo: Any) -> str:
    sure = "" if prediction.error else percent(prediction.confidence)
    answer = prediction.error or prediction.answer
    if prediction.answer == "unsure":
        sure = f"{prediction.label} {sure}?"
    cells = (_safe(text) for text in (answer, sure, prediction.path))
    return f"<tr><td>{_thumbnail(photo)}</td>" + "".join(f"<td>{c}</td>" for c in cells) + "</tr>"


def _thumbnail(photo: Any) -> str:
    """Return a small picture; nothing where the photo is broken, or its file gone since."""
    with suppress(FursureError, OSError, ValueError):
        image = opened_photo("", photo, min_side=_SIDE).image.copy()
        image.thumbnail((_SIDE, _SIDE))
        return f'<img alt="" src="{data_uri(image, "jpeg", quality=75)}">'
    return ""


def _safe(text: str) -> str:
    return escape(printable(text))
