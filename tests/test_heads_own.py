"""Heads of the user's own: fitted anew, written as dense layers, proven, and in a bundle."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from samples import network_into
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import LinearSVC

import fursure
from fursure.errors import BadHead, OutputExists
from fursure.heads.own import fitted_layers
from fursure.recipe import FineTune, Recipe
from fursure.recipe import LogisticRegression as OurRegression

Array = NDArray[Any]


def blobs(classes: int) -> tuple[Array, Array]:
    """Return points around a centre for each class, far from standardised."""
    rng = np.random.default_rng(classes)
    labels_N = np.arange(120) % classes
    centres_KD = rng.normal(scale=3, size=(classes, 5))
    points_ND = (centres_KD[labels_N] + rng.normal(size=(120, 5))) * 7 + 40
    return points_ND.astype(np.float32), labels_N


class Nearest:
    """The nearest centre, which is linear: |x - c|² is |c|² - 2 x·c and what is equal for all."""

    def fit(self, features_ND: Array, labels_N: Array, weights_N: Array) -> None:
        classes = range(labels_N.max() + 1)
        self.weights_N = weights_N
        self.centres_KD = np.stack(
            [features_ND[labels_N == label].mean(axis=0) for label in classes]
        )

    def logits(self, features_ND: Array) -> Array:
        return np.asarray(features_ND @ self.centres_KD.T - (self.centres_KD**2).sum(axis=1) / 2)

    def layers(self) -> list[tuple[Array, Array]]:
        return [(self.centres_KD.T, -(self.centres_KD**2).sum(axis=1) / 2)]


class Liar(Nearest):
    def layers(self) -> list[tuple[Array, Array]]:
        return [(weight, bias + np.array([0, 1])) for weight, bias in super().layers()]


class Misshapen(Nearest):
    def layers(self) -> list[tuple[Array, Array]]:
        return [(weight.T, bias) for weight, bias in super().layers()]


class Regression(Nearest):
    def layers(self) -> list[tuple[Array, Array]]:
        return [(weight[:, :1], bias[:1]) for weight, bias in super().layers()]


HEADS = {
    "logistic": LogisticRegression(),
    "logistic behind a scaler": make_pipeline(StandardScaler(), LogisticRegression()),
    "scaler that only centres": make_pipeline(StandardScaler(with_std=False), RidgeClassifier()),
    "ridge": RidgeClassifier(),
    "support vectors": LinearSVC(max_iter=100_000),
    "gradient descent": make_pipeline(StandardScaler(), SGDClassifier(random_state=0)),
    "discriminant": LinearDiscriminantAnalysis(),
    "components": make_pipeline(PCA(3), LogisticRegression()),
    "whitened between two scalers": make_pipeline(
        StandardScaler(), PCA(3, whiten=True), StandardScaler(), LogisticRegression()
    ),
    "perceptron on components": make_pipeline(
        PCA(4, whiten=True), MLPClassifier(6, random_state=0, tol=1, n_iter_no_change=20)
    ),
    "perceptron": make_pipeline(
        StandardScaler(), MLPClassifier((6, 4), random_state=0, tol=1, n_iter_no_change=20)
    ),
}


# BLAS computes past the edge of a small matrix, now and then on rubbish, which NumPy then reports.
@pytest.mark.filterwarnings("ignore:invalid value encountered in matmul:RuntimeWarning")
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("kind", HEADS)
def test_a_classifier_of_scikit_learn_becomes_layers_that_decide_alike(
    kind: str, classes: int
) -> None:
    features_ND, labels_N = blobs(classes)
    head = HEADS[kind]
    layers = fitted_layers(head, features_ND, labels_N, np.ones(120, np.float32), classes)
    assert layers(features_ND).shape == (120, classes)
    decided_N = head.fit(features_ND, labels_N).predict(features_ND)
    assert (layers(features_ND).argmax(axis=1) == decided_N).all()


def test_the_head_given_is_copied_and_never_fitted() -> None:
    head = LogisticRegression()
    fitted_layers(head, *blobs(2), np.ones(120, np.float32), 2)
    assert not hasattr(head, "coef_")


def test_weights_reach_a_head_and_the_last_step_of_a_pipeline() -> None:
    features_ND, labels_N = blobs(2)
    weights_N = np.where(labels_N == 0, 1.9, 0.1).astype(np.float32)
    head = make_pipeline(StandardScaler(), LogisticRegression(C=0.001))
    even = fitted_layers(head, features_ND, labels_N, np.ones(120, np.float32), 2)
    uneven = fitted_layers(head, features_ND, labels_N, weights_N, 2)
    assert (uneven(features_ND) - even(features_ND))[:, 1].mean() < -0.5


REFUSED = {
    "forest": (RandomForestClassifier(2), "a bundle holds dense layers with a ReLU between them"),
    "regression": (Ridge(), "sklearn.Ridge cannot go into a model: it is no classifier"),
    "bayes": (GaussianNB(), "sklearn.GaussianNB cannot go into a model: a bundle holds dense"),
    "tanh": (MLPClassifier(3, activation="tanh", tol=9, n_iter_no_change=1), "activation='relu'"),
    "scaler": (make_pipeline(MinMaxScaler(), RidgeClassifier()), r"MinMaxScaler.*StandardScaler"),
    "decomposition": (make_pipeline(TruncatedSVD(2), RidgeClassifier()), "or a PCA, nothing else"),
    "liar": (Liar(), "it answers otherwise, by 1; its layers\\(\\) have to give"),
    "misshapen": (Misshapen(), r"a layer of \(2, 5\) on 5 inputs; weights are \(inputs, outputs\)"),
    "one output": (Regression(), "its layers end in 1; there are 2 classes"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_written_so_is_refused_in_words(kind: str) -> None:
    head, words = REFUSED[kind]
    with pytest.raises(BadHead, match=words):
        fitted_layers(head, *blobs(2), np.ones(120, np.float32), 2)


def test_a_head_without_weights_says_so_where_classes_are_balanced() -> None:
    features_ND, labels_N = blobs(2)
    uneven_N = np.where(labels_N == 0, 1.5, 0.5).astype(np.float32)
    with pytest.raises(BadHead, match=r"LinearDiscriminantAnalysis.*takes no weights"):
        fitted_layers(LinearDiscriminantAnalysis(), features_ND, labels_N, uneven_N, 2)


@pytest.mark.parametrize("head", [Nearest(), make_pipeline(StandardScaler(), LogisticRegression())])
def test_a_model_answers_with_the_users_own_head(head: Any, drawings: Path, tmp_path: Path) -> None:
    recipe = Recipe(backbone=network_into(tmp_path / "net"))
    made = fursure.train(drawings, tmp_path / "own.fursure", recipe, head=head)
    kind = made.bundle.meta.recipe["head"]["kind"]
    assert kind in {"test_heads_own.Nearest", "sklearn.LogisticRegression"}
    assert f"Head: {kind}," in made.bundle.card
    model = fursure.load(made.path)
    features_ND = model.features(sorted(drawings.rglob("*.jpg")))
    labels_N = np.repeat([0, 1], 40)
    layers = fitted_layers(head, features_ND, labels_N, np.ones(80, np.float32), 2)
    right = layers(features_ND).argmax(axis=1) == labels_N
    answered = model.predict_proba(sorted(drawings.rglob("*.jpg"))).argmax(axis=1) == labels_N
    assert (right == answered).mean() > 0.95  # features of a cache are rounded to half precision
    with pytest.raises(OutputExists, match="--overwrite"):
        fursure.train(drawings, made.path, recipe, head=head)


def test_what_is_no_head_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    for head, words in ((3, "the head builtins.int"), (Nearest, "the head Nearest cannot")):
        with pytest.raises(BadHead, match=words):
            fursure.train(tmp_path / "none", tmp_path / "own.fursure", head=head)
    trains = replace(Recipe(), tune=FineTune(), head=OurRegression())
    with pytest.raises(BadHead, match="trains the network with a head of its own"):
        fursure.train(tmp_path / "none", tmp_path / "own.fursure", trains, head=Nearest())
