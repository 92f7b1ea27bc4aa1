"""What a check found → one HTML page that needs no network: pictures, reasons, verdicts.

The page is its own program: it may run the one script in it and show pictures it holds, and
nothing else. Names and labels are text to it, whatever they hold.
"""

import base64
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fursure.report.html import rendered

FOLDER = Path(__file__).parent / "templates"
PAGE, STYLE, SCRIPT = "review.html", "review.css", "review.js"


@dataclass(frozen=True, slots=True, kw_only=True)
class SuspectPicture:
    """A small picture beside its name."""

    uri: str  # data:image/jpeg;base64,…; "" where the photo cannot be shown
    name: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One photo to decide on."""

    picture: SuspectPicture
    titles: tuple[str, ...]  # what kinds of findings there are on it
    reasons: tuple[str, ...]
    suggestion: str | None  # the label it should probably have
    neighbours: tuple[SuspectPicture, ...]
    cells: str  # the beginning of its line in the corrections
    verdict: str = ""  # of an earlier review
    new_label: str = ""  # the label given then


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewPage:
    """All that the page shows."""

    name: str  # of the data
    key: str  # what the browser remembers the verdicts by
    photos: int
    counts: tuple[tuple[str, int, int], ...]  # title, found, shown as pictures
    sentences: tuple[str, ...]  # on classes and cues
    unreadable: tuple[str, ...]  # names and reasons, as many as fit
    cards: tuple[Card, ...]
    labels: tuple[tuple[str, str], ...]  # and each as a cell of CSV
    carried: tuple[tuple[str, str, str], ...]  # cells, verdict and label cell of other photos


def render_review(page: ReviewPage) -> str:
    """Return the page as HTML.

    Raises:
        MissingExtra: jinja2 is not installed.
    """
    style, script = ((FOLDER / name).read_text("utf-8") for name in (STYLE, SCRIPT))
    # not "unsafe-inline": only this very text may run
    return rendered(
        PAGE,
        "the review page",
        page=page,
        style=style,
        script=script,
        style_digest=_digest(style),
        script_digest=_digest(script),
        data=_embedded(_data(page)),
    )


def _data(page: ReviewPage) -> dict[str, Any]:
    return {
        "key": page.key,
        "labels": page.labels,
        "carried": page.carried,
        "cards": [
            {
                "cells": card.cells,
                "given": card.picture.label,
                "suggestion": card.suggestion,
                "verdict": card.verdict,
                "label": card.new_label,
            }
            for card in page.cards
        ],
    }


def _embedded(value: Any) -> str:
    """Return JSON that no parser of HTML takes for the end of the script."""
    text = json.dumps(value, ensure_ascii=True)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
