"""What is told of doubted labels and of strangers."""

import re

import numpy as np
import pytest

from fursure.check.label_errors import Doubts, doubts
from fursure.check.suspects import judge
from fursure.metrics.intervals import Estimate
from fursure.rows.photo import Photo


def photos_of(labels: list[str]) -> list[Photo]:
    return [
        Photo(path=f"{n}.jpg", sha256=f"{n:064}", width=9, height=9, label=label)
        for n, label in enumerate(labels)
    ]


def looked_at(names: tuple[str, ...], *, asked: bool = True) -> Doubts:
    """Return the doubts among clusters, one photo mislabelled and one stranger doubted too."""
    rng = np.random.default_rng(0)
    labels_N = np.arange(300) % len(names)
    centres = rng.gamma(1, 1, (len(names), 24))
    features_ND = np.maximum(centres[labels_N] + rng.normal(0, 0.5, (300, 24)), 0)
    features_ND[7] = centres[labels_N[7]]  # as typical as can be
    labels_N[7] = (labels_N[7] + 1) % len(names)
    features_ND[8] = 0.5 * centres[(labels_N[8] + 1) % len(names)] + np.eye(24)[5] * 9
    groups = np.arange(300)
    judged = judge(features_ND.astype(np.float16), labels_N, len(names), groups % 5, groups)
    photos = photos_of([names[label] for label in labels_N])
    return doubts(photos, names, judged, np.full(300, asked))


@pytest.mark.parametrize("names", [("cat", "dog"), ("cat", "dog", "fox")])
def test_a_stranger_is_asked_about_before_another_class_is_offered(names: tuple[str, ...]) -> None:
    found = {one.paths[0]: one for one in looked_at(names).findings}
    assert found["7.jpg"].kind == "label"
    assert found["7.jpg"].suggestion in names
    assert found["8.jpg"].kind == "stranger"
    assert found["8.jpg"].suggestion is None
    wording = "Neither cat nor dog?" if len(names) == 2 else "None of the classes?"
    assert found["8.jpg"].reason.startswith(wording)
    assert re.search(r"; if one of them, rather (cat|dog|fox)$", found["8.jpg"].reason)


def test_each_photo_is_found_once_and_the_list_is_counted() -> None:
    found = looked_at(("cat", "dog"))
    paths = [one.paths[0] for one in found.findings]
    assert len(paths) == len(set(paths))
    assert found.wrong.n == sum(one.kind in ("label", "doubt") for one in found.findings)


def test_nothing_is_said_of_photos_not_asked_about() -> None:
    found = looked_at(("cat", "dog"), asked=False)
    assert found.findings == ()
    assert found.wrong == Estimate(0, 0, 0, 0, percent=False)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ((0, 0, 0, 0), "No label is worth a look: none has a chance of 5% to be wrong."),
        ((0.37, 0, 1, 1), "1 label is worth a look: wrong with a chance of 37%."),
        (
            (3.2, 0, 7, 12),
            "12 labels are worth a look; about 3 of them are expected to be wrong [0, 7].",
        ),
        (
            (1.1, 0, 2, 4),
            "4 labels are worth a look; about 1 of them is expected to be wrong [0, 2].",
        ),
        (
            (0.4, 0, 2, 3),
            "3 labels are worth a look; less than one of them is expected to be wrong [0, 2].",
        ),
        (
            (1177.1, 1135, 1210, 1401),
            "1,401 labels are worth a look; about 1,177 of them are expected to be wrong "
            "[1,135, 1,210].",
        ),
    ],
)
def test_the_sentence_says_what_the_list_is_worth(
    wrong: tuple[float, float, float, int], sentence: str
) -> None:
    assert Doubts(findings=(), wrong=Estimate(*wrong, percent=False)).sentence() == sentence
