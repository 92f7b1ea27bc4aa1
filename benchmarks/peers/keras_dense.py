"""Keras 3: MobileNetV2, features once, a dense layer on them. KERAS_BACKEND says on what.

The weights are random. Photos come the way of Keras' guide to transfer learning, through
`image_dataset_from_directory`: from tf.data for TensorFlow, from grain for torch.
"""

from pathlib import Path
from typing import Any

import keras  # type: ignore[import-untyped]
import numpy as np

from benchmarks.peers import job

SIZE = (224, 224)
LOADED = "tf" if keras.backend.backend() == "tensorflow" else "grain"


def _photos(folder: Path) -> tuple[Any, list[str], Any]:
    """Return batches of photos, class by class, the classes' names, and each photo's class."""
    photos = keras.utils.image_dataset_from_directory(
        folder, image_size=SIZE, batch_size=32, shuffle=False, format=LOADED, verbose=False
    )
    classes = sorted(path.name for path in folder.iterdir())
    counts = [len(list((folder / name).iterdir())) for name in classes]
    return photos, classes, np.repeat(np.arange(len(classes)), counts)


def train(folder: Path, model: Path) -> tuple[float, int]:
    """Fit a dense layer on the frozen network's features; save both as one model."""
    keras.utils.set_random_seed(0)
    pixels = keras.Input((*SIZE, 3))
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    net = keras.applications.MobileNetV2((*SIZE, 3), include_top=False, weights=None, pooling="avg")
    net.trainable = False
    base = keras.Model(pixels, net(scaled, training=False))
    photos, classes, labels_N = _photos(folder / "train")
    features_ND = base.predict(photos, verbose=0)
    head = keras.Sequential([keras.layers.Dense(len(classes), activation="softmax")])
    head.compile("adam", "sparse_categorical_crossentropy")
    head.fit(features_ND, labels_N, epochs=10, verbose=0)
    keras.Model(pixels, head(base.output)).save(model / "model.keras")
    photos, _, labels_N = _photos(folder / "test")
    answers_N = head.predict(base.predict(photos, verbose=0), verbose=0).argmax(1)
    return float((answers_N == labels_N).mean()), len(labels_N)


def answer(photo: Path, model: Path) -> str:
    """Return the class of one photo, by its number: the file has no names."""
    whole = keras.saving.load_model(model / "model.keras")
    pixels = keras.utils.img_to_array(keras.utils.load_img(photo, target_size=SIZE))
    return str(whole.predict(pixels[None], verbose=0)[0].argmax())


def bulk(folder: Path, model: Path) -> int:
    """Answer all photos of ``folder``."""
    photos, _, _ = _photos(folder)
    return len(keras.saving.load_model(model / "model.keras").predict(photos, verbose=0))


if __name__ == "__main__":
    job.main(train, answer, bulk)
