"""Label Studio's exports: JSON, JSON_MIN and CSV, of projects that choose a class for an image."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fursure.annotations.annotated import Annotated, Opinion
from fursure.annotations.opening import FileOpening
from fursure.annotations.places import is_place
from fursure.annotations.streamed import entries

_IMAGES = ("image", "img", "photo", "picture", "url", "path", "file")
_MADE_BY = frozenset({"annotation_id", "annotator"})  # columns that tell such a table
_OWN = _MADE_BY | {"id", "created_at", "updated_at", "lead_time", "completion_id", "inner_id"}


def has_tasks(opening: FileOpening) -> bool:
    """Return whether a file begins as the full JSON export does."""
    match opening.of(""):
        case {"data": dict(), **others}:
            return bool({"annotations", "completions", "predictions"} & others.keys())
    return False


def has_rows(opening: FileOpening) -> bool:
    """Return whether a file begins as the JSON_MIN export does."""
    match opening.of(""):
        case dict(row):
            return is_row(row)
    return False


def is_row(cells: Mapping[str, object]) -> bool:
    """Return whether a row, or the first line of a CSV, is of such an export."""
    return cells.keys() >= _MADE_BY


def tasks(data: bytes) -> Iterator[Annotated]:
    """Yield the photos of a full JSON export."""
    for entry in entries(data):
        task = entry.value
        if not isinstance(task, dict) or not isinstance(task.get("data"), dict):
            raise ValueError("a task without data")
        yield _task(task["data"], task)


def rows(data: bytes) -> Iterator[Annotated]:
    """Yield the photos of a JSON_MIN export."""
    found = (entry.value for entry in entries(data))
    return photos_of(row for row in found if isinstance(row, dict))


def photos_of(records: Iterable[Mapping[str, Any]]) -> Iterator[Annotated]:
    """Yield the photos of rows that are an annotation each; those of a photo are put together."""
    opinions: defaultdict[str, defaultdict[str, list[Opinion]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for record in records:
        image = _image(record)
        photo = opinions[str(record.get(image) or "")]
        for name, value in record.items():
            if name not in _OWN and name != image and (opinion := choices_of(value)):
                photo[name].append(opinion)
    for written, by_name in opinions.items():
        yield Annotated(written=written, opinions=dict(by_name))


def answers_of(task: Mapping[str, Any]) -> list[list[dict[str, Any]]]:
    """Return what each annotator chose in a task; that of the ground truth alone, if there is one.

    What was cancelled is no answer, nor is a prediction.
    """
    made = task.get("annotations", task.get("completions"))
    answers = [answer for answer in made if isinstance(answer, dict)] if _is_list(made) else []
    answers = [answer for answer in answers if not answer.get("was_cancelled")]
    answers = [answer for answer in answers if answer.get("ground_truth")] or answers
    results = [answer.get("result") for answer in answers]
    return [
        [
            choice
            for choice in result
            if isinstance(choice, dict) and choice.get("type") == "choices"
        ]
        for result in results
        if isinstance(result, list)
    ]


def _task(fields: Mapping[str, Any], task: Mapping[str, Any]) -> Annotated:
    opinions: defaultdict[str, list[Opinion]] = defaultdict(list)
    for answer in answers_of(task):
        for choice in answer:
            opinions[str(choice.get("from_name"))].append(choices_of(choice.get("value")))
    made = task.get("annotations", task.get("completions"))
    return Annotated(
        written=str(fields.get(_image(fields)) or ""),
        opinions=dict(opinions),
        cancelled=bool(made) and not opinions,
    )


def _image(fields: Mapping[str, Any]) -> str:
    """Return which field holds the photo, "" for none."""
    usual = [name for name in _IMAGES if isinstance(fields.get(name), str)]
    others = (name for name, value in fields.items() if is_place(value))
    return usual[0] if usual else next(others, "")


def choices_of(value: object) -> Opinion:
    """Return the labels in a cell or a value: one by itself, or several in ``choices``."""
    if isinstance(value, str) and value.startswith("{"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return (str(value),)
    match value:
        case {"choices": list(labels)}:
            return tuple(str(label) for label in labels)
        case str() if value.strip():
            return (value,)
        case int() if not isinstance(value, bool):
            return (str(value),)
    return ()


def _is_list(value: object) -> bool:
    return isinstance(value, list)
