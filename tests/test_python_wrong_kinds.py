"""What is no photo, handed to everything else that takes photos from a program."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_engine_pictures import NO_PHOTOS

import fursure
from fursure import BadImage, FursureError, Predictor
from fursure.features.reader import Reader

pytest.importorskip("sklearn")

LABELS = ["cat", "dog"]


@pytest.fixture(scope="module")
def model() -> Predictor:
    return fursure.load("pets")


WAYS: dict[str, Callable[[Predictor, Any], Any]] = {
    "predict_proba": lambda model, photos: model.predict_proba(photos),
    "features": lambda model, photos: model.features(photos),
    "heat": lambda model, photos: model.heat(photos),
    "FursureClassifier": lambda _, photos: fursure.FursureClassifier().fit(photos, LABELS),
    "PhotoEncoder": lambda _, photos: fursure.PhotoEncoder().fit_transform(photos),
    "train": lambda _, photos: fursure.train((photos, LABELS), "m.fursure"),
    "train alone": lambda _, photos: fursure.train(photos, "m.fursure"),
    "check": lambda _, photos: fursure.check((photos, LABELS)),
    "evaluate": lambda _, photos: fursure.evaluate("pets", (photos, LABELS)),
}


@pytest.mark.parametrize("way", WAYS)
def test_forty_kinds_that_are_no_photos_are_refused_before_any_work(
    way: str, model: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table whose columns do not say what they are is `BadData`: it is the right type."""
    ran: list[object] = []
    monkeypatch.setattr(Predictor, "batch", lambda _model, photos: ran.append(photos))
    monkeypatch.setattr(Reader, "scan", lambda _reader, photos, **_: ran.append(photos))
    monkeypatch.chdir(tmp_path)
    for kind, (make, _) in NO_PHOTOS.items():
        with pytest.raises((TypeError, FursureError)) as raised:
            WAYS[way](model, make())
        table = kind.startswith("a ") and way == "train alone"
        assert isinstance(raised.value, TypeError) or table, kind
        assert not isinstance(raised.value, BadImage), kind
        assert len(str(raised.value)) > 20, kind
    assert ran == []
    assert not list(tmp_path.iterdir())


def test_one_photo_where_a_pair_has_its_photos_is_told_as_that() -> None:
    with pytest.raises(TypeError, match=r"the first of the pair is a str, .* \(photos, labels\)"):
        fursure.train(("a.jpg", LABELS), "m.fursure")
