"""A file that Keras saved → its layers with weights, in the order in which Keras lists them.

    NAME.weights.h5     Keras 3: a folder of arrays per layer, named by its class
    NAME.keras          a zip with such a file in it
    NAME.h5             Keras 1 to 3: the whole model, or its weights alone, named by layer

Only arrays are read: nothing in the file is built, called or unpickled, so a Lambda layer stays
the text it is. A layer's shapes are known before its arrays are read, and links that lead out of
the file are refused.
"""

import math
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fursure.errors import BadBackbone, MissingExtra

try:
    import h5py
except ImportError as error:
    raise MissingExtra("weights of Keras", "torch") from error

Shape = tuple[int, ...]
Shapes = tuple[Shape, ...]  # of the arrays of one layer
MEMBER = "model.weights.h5"  # of a .keras file
MAX_BYTES = 2 * 2**30  # of that member; VGG19 with its top and Adam's moments has 1.7e9
MAX_RATIO = 20  # bytes out of one byte in: weights hardly shrink, and Keras stores them as they are
MAX_MODELS = 20  # one inside the other or side by side; two is common
CONTAINERS = ("layers", "_layer_checkpoint_dependencies")  # the second by TensorFlow 2.12 to 2.15


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer with weights; its arrays are read when they are asked for."""

    name: str
    weights: tuple[Any, ...]  # datasets of h5py, in Keras's order

    @property
    def shapes(self) -> Shapes:
        """Return the shape of each array."""
        return tuple(weight.shape for weight in self.weights)

    def arrays(self) -> list[NDArray[np.float32]]:
        """Return the arrays.

        Raises:
            BadBackbone: one is of another type, lies elsewhere, or is not finite.
        """
        return [_array(weight, self.name) for weight in self.weights]


def _array(weight: Any, name: str) -> NDArray[np.float32]:
    if weight.dtype.kind != "f":
        raise BadBackbone(
            f"layer {name!r} holds values of type {weight.dtype}, and a network's weights are "
            "floats; save it unquantised, as float32."
        )
    # HDF5 unpacks an array piece by piece, and a piece may be far larger than the array
    huge_piece = math.prod(weight.chunks or (0,)) > 4 * weight.size + 1024
    if weight.external or weight.is_virtual or huge_piece:
        raise BadBackbone(
            f"layer {name!r} does not lie in the file as Keras writes it; load the model in Keras "
            "and save it anew."
        )
    values = np.asarray(weight[()], dtype=np.float32)
    if not np.isfinite(values).all():
        raise BadBackbone(
            f"layer {name!r} holds values that are not finite, so its training had diverged; take "
            "weights from an earlier epoch."
        )
    return values


@contextmanager
def opened_keras(path: Path) -> Iterator[Any]:
    """Open the HDF5 file at ``path``, or the one in the `.keras` zip there.

    Raises:
        BadBackbone: it is neither, or reading it inside the ``with`` fails.
    """
    try:
        with ExitStack() as stack:
            if h5py.is_hdf5(path):
                yield stack.enter_context(h5py.File(path, "r"))
            elif zipfile.is_zipfile(path):
                part = stack.enter_context(tempfile.TemporaryFile())
                _unpack(path, part)
                yield stack.enter_context(h5py.File(part, "r"))
            else:
                raise BadBackbone(
                    f"{path.name} is no HDF5 file and no zip, as Keras writes them; it may be "
                    "incomplete: copy or download it again."
                )
    except BadBackbone:
        raise
    except Exception as error:  # hostile bytes raise a dozen kinds
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise BadBackbone(
            f"{path.name} cannot be read ({reason}); it may be incomplete: copy or download it "
            "again."
        ) from error


def _unpack(path: Path, part: Any) -> None:
    """Copy the weights out of a `.keras` file into a file without a name."""
    with zipfile.ZipFile(path) as archive:
        if MEMBER not in archive.namelist():
            shown = ", ".join(repr(name[:60]) for name in archive.namelist()[:3]) or "nothing"
            raise BadBackbone(
                f"{path.name} is a zip without {MEMBER} (it has {shown}); save the model with "
                "model.save('NAME.keras')."
            )
        info = archive.getinfo(MEMBER)
        if info.file_size > min(MAX_BYTES, MAX_RATIO * info.compress_size):
            raise BadBackbone(
                f"{path.name} unpacks from {info.compress_size / 1e6:.3g} MB to "
                f"{info.file_size / 1e6:.3g} MB, which weights do not; fursure unpacks "
                f"{MAX_RATIO} times the size and {MAX_BYTES / 1e9:.2g} GB at most. Save the model "
                "anew, without its optimizer: model.save_weights('NAME.weights.h5')."
            )
        with archive.open(info) as member:
            shutil.copyfileobj(member, part, 2**20)


def layers_of(file: Any, name: str) -> list[Layer]:
    """Return the layers with weights, those of a model inside the model first.

    Raises:
        BadBackbone: Keras did not write this file.
    """
    root = _child(file, "model_weights") if "model_weights" in file else file
    if "layer_names" in root.attrs:
        return list(_by_name(root))
    if _container(root) is not None:
        return _by_class(root)
    shown = ", ".join(repr(key[:60]) for key in list(file)[:3]) or "nothing"
    raise BadBackbone(
        f"{name} holds no layers as Keras writes them (it has {shown}); save the model with "
        "model.save('NAME.keras')."
    )


def _by_name(root: Any) -> Iterator[Layer]:
    """Yield the layers of a legacy file; a model inside it is a group with layers of its own."""
    for name in _texts(root.attrs["layer_names"]):
        group = _child(root, name)
        inner: dict[str, list[str]] = {}
        for path in _texts(group.attrs.get("weight_names", [])):
            inner.setdefault(path.rpartition("/")[0], []).append(path)
        for place, paths in inner.items():
            own = name if len(inner) == 1 else place.rpartition("/")[2]
            yield Layer(own, _weights(group, paths))


def _texts(names: Any) -> list[str]:
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def _by_class(root: Any) -> list[Layer]:
    """Return the layers of a Keras 3 file, where a layer is `conv2d_7/vars/0`, `…/1` and so on."""
    layers: list[Layer] = []
    models = [root]
    for model in models:  # it grows while we read it
        container = _container(model)
        own = []
        for key in sorted(container, key=_class_and_number):
            group = _child(container, key)
            if _container(group) is not None and len(models) < MAX_MODELS:
                models.append(group)
            elif "vars" in group:
                arrays = _child(group, "vars")
                weights = _weights(arrays, sorted(arrays, key=lambda index: (len(index), index)))
                own.append(Layer(str(arrays.attrs.get("name", key)), weights))
        layers = own + layers
    return layers


def _container(model: Any) -> Any:
    """Return the group in which a model keeps its layers, or None: then it is none."""
    return next((_child(model, name) for name in CONTAINERS if name in model), None)


def _class_and_number(key: str) -> tuple[str, int]:
    name, _, number = key.rpartition("_")
    return (name, int(number)) if name and number.isdecimal() else (key, 0)


def _weights(group: Any, paths: Iterable[str]) -> tuple[Any, ...]:
    weights = tuple(_child(group, path) for path in paths)
    if not all(isinstance(weight, h5py.Dataset) and weight.shape is not None for weight in weights):
        raise BadBackbone(
            f"{group.name} holds something else than arrays; load the model in Keras and save it "
            "anew."
        )
    return weights


def _child(group: Any, path: str) -> Any:
    """Return what lies at ``path``, if no link on the way leads elsewhere."""
    for part in path.split("/"):
        link = group.get(part, getlink=True) if isinstance(group, h5py.Group) else None
        if not isinstance(link, h5py.HardLink):
            what = "does not exist" if link is None else "leads elsewhere"
            raise BadBackbone(
                f"{part[:60]!r} in {group.name} {what}, and weights need to lie where the file "
                "says; load the model in Keras and save it anew."
            )
        group = group[part]
    return group
