"""`FursureClassifier`: photos in any form and their labels → a classifier of scikit-learn.

What `fursure train` does on a frozen backbone, all photos being for training: near-duplicates stay
together, the strength of the head and its temperature are chosen by cross-validation.

Dimension key: N photos, D features, K classes.
"""

from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fursure.errors import BadHead, MissingExtra
from fursure.features.collect import grouped
from fursure.heads.classes import check_classes
from fursure.heads.fit import Fit, fit
from fursure.heads.own import check_own
from fursure.python.encoder import Backbones, features_of, read_rows
from fursure.recipe import HEADS, ClassWeight, Head, LogisticRegression, Recipe
from fursure.rows.photo import Photo
from fursure.run import Engine
from fursure.splitting.scanned import Scanned
from fursure.sureness.calibration import softmax

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, column_or_1d
except ImportError as error:
    raise MissingExtra("an estimator", "sklearn") from error


class FursureClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Tells photos apart by a head on what a frozen network sees, with calibrated probabilities.

    ``head`` is "logistic", "mlp", or an object of one's own, as `fursure.train` takes it. ``C`` is
    the inverse strength of the logistic head, as scikit-learn has it, on standardised features;
    None chooses it. The rest is as for `PhotoEncoder`.
    """

    def __init__(
        self,
        backbone: Backbones = "lite0",
        *,
        head: Any = "logistic",
        C: float | None = None,
        class_weight: Literal["balanced"] | None = None,
        image_size: int | None = None,
        engine: Engine = "auto",
        threads: int | None = None,
        random_state: int = 0,
    ) -> None:
        self.backbone = backbone
        self.head = head
        self.C = C
        self.class_weight = class_weight
        self.image_size = image_size
        self.engine = engine
        self.threads = threads
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> "FursureClassifier":
        """Learn from the photos ``X`` and their labels.

        ``evaluation_`` has the figures of cross-validation, with intervals.

        Raises:
            BadImage: a photo cannot be used.
            FursureError: the backbone, the head or the classes cannot.
            TypeError: ``X`` is no iterable of photos.
            ValueError: ``y`` are no labels, or not one a photo.
        """
        if y is None:
            raise ValueError("FursureClassifier requires y to be passed, but the target y is None")
        labels_N = column_or_1d(y, warn=True)
        check_classification_targets(labels_N)
        rows = read_rows(X, self)
        if len(rows) != len(labels_N):
            raise ValueError(f"{len(rows)} photos and {len(labels_N)} labels; give one for each")
        self.classes_, number_N = np.unique(labels_N, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"there is only one class, {str(self.classes_[0])!r}; needed are two")
        fitted = self._fitted(rows, number_N)
        self.layers_, self.temperature_ = fitted.layers, fitted.temperature
        self.evaluation_ = fitted.evaluation
        self.n_photos_ = len(fitted.held_out_N)
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return calibrated probabilities (N, K), in the order of ``classes_``.

        Raises:
            BadImage: a photo cannot be used.
            TypeError: ``X`` is no iterable of photos.
        """
        check_is_fitted(self, "layers_")
        rows = read_rows(X, self)
        if not rows:
            return np.zeros((0, len(self.classes_)))
        return softmax(self.layers_(features_of(rows)), self.temperature_)

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the likeliest label of each photo; raises as `predict_proba` does."""
        check_is_fitted(self, "layers_")
        labels_N: NDArray[Any] = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return labels_N

    def _fitted(self, rows: list[Scanned], number_N: NDArray[np.intp]) -> Fit:
        """Return the head; a photo that lies under two labels teaches neither."""
        labels = list(map(str, self.classes_))
        named = [
            replace(row, photo=replace(row.photo, label=labels[number], split="train"))
            for row, number in zip(rows, number_N, strict=True)
        ]
        features_ND = features_of(named)
        photos = grouped(named, features_ND)
        usable_N = np.array([photo.reason is None for photo in photos], bool)
        kept: list[Photo] = [photo for photo in photos if photo.reason is None]
        check_classes(kept, labels)
        recipe = self._recipe(len(kept))
        own = None if isinstance(self.head, str) else self.head
        if own is not None:
            check_own(own, recipe)
        return fit(kept, features_ND[usable_N], labels, recipe, own=own)

    def _recipe(self, photos: int) -> Recipe:
        """Return what the head is fitted by; no photo is set aside, however many there are."""
        if self.class_weight not in (None, "balanced"):
            raise ValueError(f"class_weight is {self.class_weight!r}; it may be 'balanced' or None")
        weight: ClassWeight = "none" if self.class_weight is None else "balanced"
        head: Head = LogisticRegression(class_weight=weight)
        if isinstance(self.head, str):
            if self.head not in HEADS:
                raise BadHead(repr(self.head), f"there are {' and '.join(HEADS)}, or one of yours")
            head = HEADS[self.head](class_weight=weight)
        if self.C is not None:
            if not isinstance(head, LogisticRegression) or self.head != "logistic":
                raise ValueError(
                    f"C is the strength of the logistic head; leave it out for head={self.head!r}, "
                    "or give GridSearchCV a list of grids"
                )
            if not self.C > 0:
                raise ValueError(f"C is {self.C!r}; needed is a number above 0, or None")
            head = replace(head, strengths=(1 / (self.C * photos),))
        return Recipe(head=head, seed=self.random_state)

    def __sklearn_tags__(self) -> Any:
        """Say what `X` is: photos, and no matrix of numbers."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.string = False, True
        tags.no_validation = True
        return tags
