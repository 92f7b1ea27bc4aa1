"""Hundreds and thousands of classes, and classes called like answers that are none."""

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from console import fursure
from samples import draw_into

from fursure.bundle.bundle import Bundle, Seen
from fursure.bundle.members import MEMBER_LIMITS
from fursure.bundle.named import shipped
from fursure.commands.api import train
from fursure.dataset.labelled import Dataset
from fursure.dataset.manifest import Manifest
from fursure.errors import BadBundle, BadData
from fursure.evaluation.evaluate import evaluate_model
from fursure.heads.classes import refuse_reserved
from fursure.metrics.classification import Evaluation, score_probs
from fursure.metrics.confusion import MATRIX, Confusion
from fursure.recipe import Recipe
from fursure.rows.photo import Photo


def guesses(classes: int, photos: int, *, right: float = 0.8) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and probabilities of a model that is right so often."""
    rng = np.random.default_rng(0)
    labels_N = np.arange(photos) % classes
    said_N = np.where(rng.random(photos) < right, labels_N, rng.integers(0, classes, photos))
    probs_NK = np.full((photos, classes), 0.1 / (classes - 1))
    probs_NK[np.arange(photos), said_N] = 0.9
    return probs_NK, labels_N


@pytest.mark.parametrize("classes", [MATRIX, MATRIX + 1, 1000])
def test_figures_grow_with_the_classes_and_not_with_their_square(classes: int) -> None:
    names = [f"class {number}" for number in range(classes)]
    found = score_probs(*guesses(classes, 3 * classes), names)
    text = json.dumps(found.to_json())
    assert len(text) < 600 * classes + MATRIX**2 * 4
    assert Evaluation.from_json(json.loads(text)) == found
    assert bool(found.confusion) is (classes <= MATRIX)
    assert bool(found.confused) is (classes > MATRIX)


def test_the_largest_confusions_are_counted_by_hand() -> None:
    labels_N, said_N = np.array([0, 0, 1, 1, 1, 2]), np.array([0, 1, 2, 2, 1, 0])
    confusion = Confusion.of(labels_N, said_N, 3)
    assert confusion.matrix() == ((1, 1, 0), (0, 1, 2), (1, 0, 0))
    assert confusion.largest() == ((1, 2, 2), (0, 1, 1), (2, 0, 1))
    assert confusion.largest(1) == ((1, 2, 2),)
    assert confusion.support.tolist() == [2, 3, 1]
    assert confusion.predicted.tolist() == [2, 2, 2]
    assert confusion.hits.tolist() == [1, 1, 0]


def test_of_ten_thousand_classes_no_table_is_made() -> None:
    rng = np.random.default_rng(0)
    labels_N, said_N = rng.integers(0, 10_000, (2, 20_000))
    began = time.monotonic()
    confusion = Confusion.of(labels_N, said_N, 10_000)
    assert int(confusion.photos_C.sum()) == 20_000
    assert time.monotonic() - began < 2


def test_a_bundle_of_a_thousand_classes_can_be_opened(tmp_path: Path) -> None:
    names = tuple(f"a rather long name of a class {number}" for number in range(1000))
    figures = score_probs(*guesses(1000, 3000), names).to_json()
    few = shipped("pets")
    meta = replace(few.meta, labels=names, figures={"basis": "test photos", **figures})
    golden = replace(
        few.golden, probs_NK=np.full((len(few.golden.probs_NK), 1000), 1e-3, np.float32)
    )
    replace(few, meta=meta, golden=golden).write(tmp_path / "m.fursure")
    assert Bundle.read(tmp_path / "m.fursure").meta.labels == names


def test_a_bundle_that_could_not_be_read_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "m.fursure"
    path.write_bytes(b"an older model")
    good = shipped("pets")
    large = replace(good, card="x" * (MEMBER_LIMITS["card.md"] + 1))
    lying = replace(good, seen=Seen(training=np.zeros((1, 1), np.uint64), validation=np.zeros(0)))  # type: ignore[arg-type]
    for bundle, words in ((large, "more than the 1048576 allowed"), (lying, "2 dimensions")):
        with pytest.raises(BadBundle, match=f"not written, for it could not be read.*{words}"):
            bundle.write(path)
        assert path.read_bytes() == b"an older model"


@pytest.mark.parametrize("label", ["stranger", "unsure", "Unsure", "STRANGER"])
def test_a_class_called_like_an_answer_that_is_none_is_refused(label: str) -> None:
    with pytest.raises(BadData, match=f"--rename '{label}=another name'"):
        refuse_reserved(["cat", label])


def test_such_a_class_is_trained_and_measured_under_another_name(tmp_path: Path) -> None:
    data = draw_into(tmp_path / "data", count=10)
    (data / "dog").rename(data / "stranger")
    with pytest.raises(BadData, match="a class cannot be called 'stranger'"):
        train(data, tmp_path / "m.fursure", Recipe())
    run = fursure(
        "train",
        data,
        "-o",
        tmp_path / "m.fursure",
        "--no-report",
        "--rename",
        "stranger=not mine",
        "--image-size",
        "96",
    )
    assert run.returncode == 0
    model = Bundle.read(tmp_path / "m.fursure")
    assert model.meta.labels == ("cat", "not mine")
    found = evaluate_model(model, Dataset(data, rename={"stranger": "not mine"}), include_seen=True)
    assert found.evaluation.n == 20


def test_a_label_to_be_renamed_must_be_there() -> None:
    photos = (Photo(path="1.jpg", label="cat"), Photo(path="2.jpg", label="dog"))
    manifest = Manifest(root=".", photos=photos, skipped={})
    assert manifest.renamed({"dog": " wolf "}).labels == ("cat", "wolf")
    with pytest.raises(BadData, match="no photo has the label 'fox'"):
        manifest.renamed({"fox": "x"})


def test_a_rename_without_a_name_is_wrong_usage(tmp_path: Path) -> None:
    run = fursure("train", tmp_path, "--rename", "unsure")
    assert run.returncode == 2
    assert "needs a new name" in run.stderr
