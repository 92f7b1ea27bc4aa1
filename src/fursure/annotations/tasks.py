"""Tasks for Label Studio: a photo, the label it has and the one it should have; and the answers."""

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from fursure.annotations.label_studio import answers_of, choices_of
from fursure.annotations.streamed import entries

_QUESTION, _PHOTO = "label", "image"  # names in the labelling setup
DROP = "(leave this photo out)"  # the choice that is no class


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One photo to be decided on."""

    place: str  # below the folder that Label Studio serves files from
    path: str  # in the data set
    sha256: str
    label: str  # as the data set has it
    reasons: tuple[str, ...]
    suggestion: str | None  # another label
    score: float  # how sure that is

    def to_json(self) -> dict[str, Any]:
        """Return the task in Label Studio's format of imports."""
        answer = {
            "from_name": _QUESTION,
            "to_name": _PHOTO,
            "type": "choices",
            "value": {"choices": [self.suggestion]},
        }
        suggested = {"model_version": "fursure check", "score": self.score, "result": [answer]}
        return {
            "data": {
                _PHOTO: f"/data/local-files/?d={quote(self.place, errors='surrogateescape')}",
                "path": self.path,
                "sha256": self.sha256,
                "given": self.label,
                "reasons": "; ".join(self.reasons),
            },
            "predictions": [suggested] if self.suggestion is not None else [],
        }


def labelling_setup(labels: Sequence[str]) -> str:
    """Return what a project of Label Studio needs to show the tasks and to be answered in."""
    choices = "\n".join(f"    <Choice value={_quoted(label)}/>" for label in (*labels, DROP))
    return (
        f'<View>\n  <Image name="{_PHOTO}" value="${_PHOTO}"/>\n'
        '  <Header value="Labelled $given: $reasons"/>\n'
        f'  <Choices name="{_QUESTION}" toName="{_PHOTO}" choice="single" required="true">\n'
        f"{choices}\n  </Choices>\n</View>\n"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskAnswer:
    """What people decided on the photo of a task."""

    path: str
    sha256: str
    verdict: str  # "keep", "relabel" or "drop"
    label: str  # the right one, for ``relabel``


def answers(data: bytes) -> Iterator[TaskAnswer]:
    """Yield what was decided, from the JSON export of a project made of such tasks.

    What was skipped, or is in dispute, is not decided.

    Raises:
        ValueError: it is no such export.
    """
    for entry in entries(data):
        match entry.value:
            case {"data": {"path": str(path), "sha256": str(sha256), "given": str(given)}}:
                chosen = [
                    choices_of(choice.get("value"))
                    for answer in answers_of(entry.value)
                    for choice in answer
                    if choice.get("from_name") == _QUESTION
                ]
                most = max(set(chosen), key=chosen.count, default=())
                if len(most) == 1 and 2 * chosen.count(most) > len(chosen):
                    verdict = {DROP: "drop", given: "keep"}.get(most[0], "relabel")
                    label = most[0] if verdict == "relabel" else ""
                    yield TaskAnswer(path=path, sha256=sha256, verdict=verdict, label=label)
            case _:
                raise ValueError("a task that `fursure check --label-studio` did not write")


def _quoted(text: str) -> str:
    return f'"{html.escape(text)}"'
