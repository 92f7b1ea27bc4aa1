"""Our estimators where X is a matrix of numbers, which is what scikit-learn's checks bring.

Each row is drawn as a photo: stripes, of three numbers each, the brighter the larger. What the
checks ask of the numbers themselves (finite, dense, as wide as at first) is answered by
scikit-learn's own `validate_data`; all else is answered by the estimators.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from samples import network_into
from sklearn.utils.validation import check_is_fitted, validate_data

from fursure import FursureClassifier, PhotoEncoder

NET = network_into(Path(tempfile.mkdtemp()) / "net")  # six features, a thousand photos a second
BLOCKS, SIDE = 8, 64  # blocks and pixels a side


def drawn(X: Any) -> list[Any]:
    """Return a photo for each row: its stripes, and grey blocks that tell it from all others.

    Without the blocks rows that are near each other would be near-duplicates, and kept together.
    """
    return [_photo(np.asarray(row, float)) for row in np.asarray(X)]


def _photo(row_D: Any) -> Any:
    level_D = np.rint(127 + 127 * np.tanh(row_D / 3)).astype(np.uint8)
    stripe_W3 = 3 * np.arange(BLOCKS)[:, None] % max(3, len(level_D)) + np.arange(3)
    rng = np.random.default_rng(list(row_D.tobytes()))
    blocks_HW3 = np.broadcast_to(rng.integers(0, 256, (BLOCKS, BLOCKS, 1)), (BLOCKS, BLOCKS, 3))
    blocks_HW3 = blocks_HW3.copy()
    blocks_HW3[BLOCKS // 2 :] = level_D[stripe_W3 % len(level_D)]
    scale = SIDE // BLOCKS
    return np.kron(blocks_HW3, np.ones((scale, scale, 1), int)).astype(np.uint8)


class EncoderOfNumbers(PhotoEncoder):
    def __init__(self, backbone: Any = NET) -> None:
        super().__init__(backbone)

    def fit(self, X: Any, y: Any = None) -> "EncoderOfNumbers":
        super().fit(drawn(validate_data(self, X)), y)
        return self

    def transform(self, X: Any) -> Any:
        return super().transform(drawn(validate_data(self, X, reset=False)))

    def __sklearn_tags__(self) -> Any:
        return of_numbers(super().__sklearn_tags__())


class ClassifierOfNumbers(FursureClassifier):
    def __init__(
        self, backbone: Any = NET, head: Any = "logistic", C: Any = None, class_weight: Any = None
    ) -> None:
        super().__init__(backbone, head=head, C=C, class_weight=class_weight)

    def fit(self, X: Any, y: Any) -> "ClassifierOfNumbers":
        if y is not None:
            X, y = validate_data(self, X, y, multi_output=False)
        super().fit(drawn(X) if y is not None else X, y)
        return self

    def predict_proba(self, X: Any) -> Any:
        check_is_fitted(self)
        if isinstance(X, list):  # `predict` has drawn it
            return super().predict_proba(X)
        return super().predict_proba(drawn(validate_data(self, X, reset=False)))

    def __sklearn_tags__(self) -> Any:
        return of_numbers(super().__sklearn_tags__())


def of_numbers(tags: Any) -> Any:
    """Return the tags of an estimator of matrices."""
    tags.input_tags.two_d_array, tags.input_tags.string, tags.no_validation = True, False, False
    return tags
