"""`PhotoEncoder`: photos in any form → features, as a transformer of scikit-learn.

Each photo is encoded once: its features are kept on disk under the digest of its bytes, in the
caches that `fursure train` fills and uses.

Dimension key: N photos, D features.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fursure.backbones.backbone import Backbone
from fursure.engine.batches import is_several, named_photos
from fursure.engine.runtime import BULK
from fursure.errors import BadImage, MissingExtra
from fursure.features.reader import Reader
from fursure.python.held import HeldSource, distinct_names
from fursure.recipe import Recipe
from fursure.rows.photo import Photo
from fursure.run import Engine, Run
from fursure.splitting.scanned import Scanned

try:
    from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
except ImportError as error:
    raise MissingExtra("an estimator", "sklearn") from error

Backbones = str | Sequence[str]


class PhotoEncoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Turns photos into what a frozen network sees in them; there is nothing to fit.

    ``backbone`` is one name or several, as `fursure backbones` lists them; ``image_size`` is in
    pixels, and None is what the backbone was trained with.
    """

    def __init__(
        self,
        backbone: Backbones = "lite0",
        *,
        image_size: int | None = None,
        engine: Engine = "auto",
        threads: int | None = None,
    ) -> None:
        self.backbone = backbone
        self.image_size = image_size
        self.engine = engine
        self.threads = threads

    def fit(self, X: Any, y: Any = None) -> "PhotoEncoder":  # noqa: ARG002 - as transformers have it
        """Return itself, after a look at the backbone and at the kind of ``X``.

        Raises:
            FursureError: the backbone cannot be used.
            TypeError: ``X`` is no iterable of photos.
        """
        check_photos(X)
        _encoder(_recipe(self))
        return self

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Return the features (N, D) of the photos ``X``, in order.

        Raises:
            BadImage: a photo cannot be used.
            FursureError: the backbone or the engine cannot be used.
            TypeError: ``X`` is no iterable of photos.
        """
        rows = read_rows(X, self)
        width = self._n_features_out
        return features_of(rows) if rows else np.zeros((0, width), np.float32)

    @property
    def _n_features_out(self) -> int:
        """How many features there are, which names them for pandas."""
        return int(_encoded_blank(self).shape[1])

    def __sklearn_tags__(self) -> Any:
        """Say what `X` is: photos, and no matrix of numbers."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.string = False, True
        tags.requires_fit, tags.no_validation = False, True
        tags.transformer_tags.preserves_dtype = []
        return tags


def check_photos(X: Any) -> Any:
    """Return ``X`` as an iterable of photos; a table's single column is one.

    Raises:
        TypeError: it is none.
    """
    shape: tuple[int, ...] = getattr(X, "shape", ())
    kind = getattr(getattr(X, "dtype", None), "kind", "")
    if len(shape) == 2 and shape[1] == 1 and kind in {"O", "U", "S"}:
        return X.ravel()
    if not is_several(X):
        raise TypeError("X is one photo, or a matrix of numbers; give an iterable of photos")
    return X


def read_rows(X: Any, estimator: Any) -> list[Scanned]:
    """Return every photo with its digest, fingerprint and features, from the caches or anew.

    Raises:
        BadImage: a photo cannot be used.
    """
    named = list(named_photos(check_photos(X)))
    held = dict(
        zip(distinct_names(name for name, _ in named), (photo for _, photo in named), strict=True)
    )
    reader = replace(_reader(estimator, bulk=len(held) >= BULK), source=HeldSource(held))
    rows = [row for chunk in reader.scan([Photo(path=name) for name in held]) for row in chunk]
    for row in rows:
        if row.photo.reason is not None:
            raise BadImage(row.photo.path, row.photo.reason)
    return rows


def features_of(rows: Sequence[Scanned]) -> NDArray[np.float32]:
    """Return the features (N, D) of photos that were read."""
    return np.stack([row.features_D for row in rows if row.features_D is not None])


def _encoded_blank(estimator: Any) -> NDArray[np.float32]:
    return features_of(read_rows([np.zeros((8, 8, 3), np.uint8)], estimator))


def _reader(estimator: Any, *, bulk: bool) -> Reader:
    return _opened(_recipe(estimator), estimator.engine, estimator.threads, bulk, os.getpid())


def _recipe(estimator: Any) -> Recipe:
    """Return what says which backbone, as a recipe does."""
    backbone = estimator.backbone
    names = backbone if isinstance(backbone, str) else tuple(backbone)
    return Recipe(backbone=names, image_size=estimator.image_size)


@lru_cache(maxsize=4)
def _encoder(recipe: Recipe) -> Backbone:
    from fursure.backbones.combine import encoder_for  # it needs onnx, and the message comes first

    return encoder_for(recipe)


@lru_cache(maxsize=4)
def _opened(
    recipe: Recipe,
    engine: Engine,
    threads: int | None,
    bulk: bool,
    process: int,  # noqa: ARG001 - a session's threads do not follow into a forked process
) -> Reader:
    """Return a reader of no photos yet: a grid search asks for the same one a hundred times."""
    run = Run(engine=engine, threads=threads)
    return Reader.open(HeldSource({}), _encoder(recipe), run, photos=BULK if bulk else 1)
