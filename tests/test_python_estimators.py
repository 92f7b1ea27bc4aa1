"""Photos in scikit-learn: its own checks, pipelines, searches, and words for what is wrong."""

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from numbers_as_photos import NET, ClassifierOfNumbers, EncoderOfNumbers
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from test_heads_own import Nearest

import fursure
from fursure import FursureClassifier, PhotoEncoder
from fursure.drawings.draw import draw
from fursure.engine.network import Network
from fursure.errors import BadHead, BadImage, MissingExtra, TooFewPhotos, UnknownBackbone
from fursure.features.reader import Reader

LABELS = ["cat"] * 12 + ["dog"] * 12
PHOTOS = [draw(kind, seed, size=96) for kind in ("cat", "dog") for seed in range(12)]
NOT_ASKED = {"check_class_weight_classifiers": "weights are 'balanced' or even, never by hand"}


@pytest.mark.long
@parametrize_with_checks(  # type: ignore[untyped-decorator]
    [EncoderOfNumbers(), ClassifierOfNumbers()],
    expected_failed_checks=lambda estimator: (
        NOT_ASKED if isinstance(estimator, ClassifierOfNumbers) else {}
    ),
)
@pytest.mark.filterwarnings("ignore:.*does not have.*:UserWarning")
def test_scikit_learns_own_checks_pass(estimator: Any, check: Any) -> None:
    check(estimator)


def test_the_estimators_say_that_their_photos_are_no_matrix() -> None:
    for estimator in (PhotoEncoder(), FursureClassifier()):
        assert not estimator.__sklearn_tags__().input_tags.two_d_array
        with pytest.raises(TypeError, match="X is one photo, or a matrix of numbers"):
            estimator.fit(np.zeros((4, 4)), [0, 1, 0, 1])


def test_a_backbone_that_is_none_is_refused_at_fit() -> None:
    with pytest.raises(UnknownBackbone, match="no backbone 'lite9'"):
        PhotoEncoder("lite9").fit(PHOTOS[:1])


def test_a_classifier_learns_with_the_default_backbone() -> None:
    model = FursureClassifier().fit(PHOTOS, LABELS)
    assert model.classes_.tolist() == ["cat", "dog"]
    assert model.score(PHOTOS, LABELS) > 0.9
    probs_NK = model.predict_proba(PHOTOS[:3])
    assert probs_NK.shape == (3, 2)
    assert probs_NK.sum(axis=1) == pytest.approx([1, 1, 1])
    assert model.evaluation_.accuracy.n == 24
    assert model.evaluation_.labels == ("cat", "dog")


def test_labels_come_back_as_what_they_were() -> None:
    numbers = [10 if label == "cat" else 9 for label in LABELS]
    model = FursureClassifier(NET).fit(PHOTOS, numbers)
    assert model.classes_.tolist() == [9, 10]
    assert set(model.predict(PHOTOS).tolist()) <= {9, 10}
    names = FursureClassifier(NET).fit(PHOTOS, LABELS)
    assert names.predict_proba(PHOTOS)[:, ::-1] == pytest.approx(model.predict_proba(PHOTOS))


def test_a_grid_search_reads_each_photo_once(monkeypatch: pytest.MonkeyPatch) -> None:
    photos = [draw(kind, 700 + seed, size=64) for kind in ("cat", "dog") for seed in range(12)]
    seen = []
    encode = Network.encode

    def counting(self: Network, pictures: Any) -> Any:
        listed = list(pictures)
        seen.append(len(listed))
        return encode(self, listed)

    monkeypatch.setattr(Network, "encode", counting)
    FursureClassifier(NET).fit(PHOTOS, LABELS)  # the network that is opened stays so
    seen.clear()
    monkeypatch.setattr(Reader, "open", None)
    search = GridSearchCV(FursureClassifier(NET), {"C": [0.01, 1], "head": ["logistic"]}, cv=3)
    search.fit(photos, LABELS)
    assert sum(seen) == 24
    assert search.best_params_["C"] in {0.01, 1}
    assert search.best_estimator_.get_params()["C"] == search.best_params_["C"]


def test_backbones_are_searched_too() -> None:
    grid = {"backbone": [NET, "lite0"]}
    search = GridSearchCV(FursureClassifier(), grid, cv=2).fit(PHOTOS, LABELS)
    assert search.best_params_["backbone"] in grid["backbone"]
    assert not np.isnan(search.cv_results_["mean_test_score"]).any()


def test_a_weaker_c_is_a_stronger_penalty() -> None:
    fitted = [FursureClassifier(NET, C=c).fit(PHOTOS, LABELS) for c in (1e-4, 1e2)]
    sizes = [np.abs(model.layers_.dense[0].weight_DK).sum() for model in fitted]
    assert sizes[0] < sizes[1] / 10


def test_c_is_what_scikit_learn_calls_so() -> None:
    # Of two classes it has one column of weights where we have two, which share the penalty: the
    # same logit costs us half of it.
    standard = make_pipeline(PhotoEncoder(NET), StandardScaler())
    x_ND = standard.fit_transform(PHOTOS)
    theirs = LogisticRegression(C=2 * 0.01, tol=1e-8, max_iter=1000).fit(x_ND, LABELS)
    ours = FursureClassifier(NET, C=0.01).fit(PHOTOS, LABELS)
    logits_NK = ours.layers_(PhotoEncoder(NET).transform(PHOTOS))
    found_N = logits_NK[:, 1] - logits_NK[:, 0]
    assert found_N == pytest.approx(theirs.decision_function(x_ND), abs=0.02)


@pytest.mark.long
def test_photos_are_cross_validated_in_any_form(tmp_path: Path) -> None:
    paths = []
    for number, photo in enumerate(PHOTOS):
        paths.append(str(tmp_path / f"{number}.png"))
        photo.save(paths[-1])
    scores = [
        cross_val_score(FursureClassifier(NET), photos, LABELS, cv=3).tolist()
        for photos in (
            PHOTOS,
            paths,
            np.array(paths),
            pandas.Series(paths),
            pandas.DataFrame({"path": paths}),
            np.stack([np.asarray(photo) for photo in PHOTOS]),
        )
    ]
    assert scores == [scores[0]] * len(scores)


def test_features_go_on_in_a_pipeline_and_beside_columns(tmp_path: Path) -> None:
    pipe = make_pipeline(PhotoEncoder(NET), LogisticRegression())
    assert cross_val_score(pipe, PHOTOS, LABELS, cv=3).shape == (3,)
    PHOTOS[0].save(tmp_path / "a.png")
    table = pandas.DataFrame({"photo": [str(tmp_path / "a.png")] * 2, "age": [1.0, 2.0]})
    both = ColumnTransformer([("p", PhotoEncoder(NET), ["photo"]), ("n", "passthrough", ["age"])])
    assert both.fit_transform(table).shape == (2, 7)
    named = PhotoEncoder(NET).set_output(transform="pandas").fit_transform(PHOTOS[:2])
    assert named.columns.tolist() == [f"photoencoder{number}" for number in range(6)]
    assert PhotoEncoder(NET).transform([]).shape == (0, 6)


def test_a_head_of_ones_own_is_searched_for() -> None:
    heads = ["mlp", LogisticRegression(), Nearest()]
    search = GridSearchCV(FursureClassifier(NET), {"head": heads}, cv=2).fit(PHOTOS, LABELS)
    assert not np.isnan(search.cv_results_["mean_test_score"]).any()


def test_a_fitted_classifier_travels_and_a_clone_has_learned_nothing() -> None:
    model = FursureClassifier(NET, C=0.5).fit(PHOTOS, LABELS)
    copy = pickle.loads(pickle.dumps(model))  # noqa: S301 - ours
    assert copy.predict_proba(PHOTOS).tolist() == model.predict_proba(PHOTOS).tolist()
    assert len(pickle.dumps(model)) < 50_000
    fresh = clone(model)
    assert (fresh.C, hasattr(fresh, "layers_")) == (0.5, False)


@pytest.mark.parametrize(
    ("knobs", "photos", "labels", "error", "words"),
    [
        ({}, PHOTOS, ["cat"] * 24, ValueError, "only one class, 'cat'"),
        ({}, PHOTOS, LABELS[:-1], ValueError, "24 photos and 23 labels"),
        ({}, [*PHOTOS[:-1], "none.jpg"], LABELS, BadImage, "none.jpg: no such file"),
        ({}, [*PHOTOS[:-1], 3], LABELS, TypeError, "photo 23 is an int"),
        ({}, [PHOTOS[0], *PHOTOS[12:]], LABELS[11:], TooFewPhotos, "class 'cat' has 1 usable"),
        ({"head": "tree"}, PHOTOS, LABELS, BadHead, "there are logistic and mlp, or one of yours"),
        (
            {"head": "mlp", "C": 1},
            PHOTOS,
            LABELS,
            ValueError,
            "^C is .* leave it out for head='mlp'",
        ),
        ({"C": 0}, PHOTOS, LABELS, ValueError, "C is 0; needed is a number above 0"),
        ({"class_weight": "even"}, PHOTOS, LABELS, ValueError, "may be 'balanced' or None"),
    ],
)
def test_what_is_wrong_is_told(
    knobs: Any, photos: Any, labels: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        FursureClassifier(NET, **knobs).fit(photos, labels)


def test_without_scikit_learn_the_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['sklearn.base'] = None\nimport fursure\n"
        "try:\n    fursure.PhotoEncoder\nexcept fursure.FursureError as error:\n    print(error)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == (
        "an estimator needs the extra 'sklearn'; run: pip install 'fursure[sklearn]'\n"
    )
    assert issubclass(MissingExtra, fursure.FursureError)
