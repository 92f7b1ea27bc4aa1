"""A model → its repository on the Hugging Face Hub: what goes there, and the way there."""

import json
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fursure.bundle.bundle import Bundle
from fursure.errors import BadData, MissingExtra
from fursure.files import replacing
from fursure.hub.upload import Destination, Pushed, check_destination, upload
from fursure.photos.preprocess import Preprocess
from fursure.push.hub_card import hub_card, licence_for

try:
    import onnx
    from onnx import numpy_helper
    from safetensors.numpy import save
except ImportError as error:
    raise MissingExtra("the Hugging Face Hub", "hub") from error

OPTIONAL = {"head.safetensors", "preprocessor_config.json"}  # not every model has them
_RESAMPLE = {"lanczos": 1, "bilinear": 2, "bicubic": 3}  # as Pillow numbers them


def hub_files(
    bundle: Bundle, to: Destination, *, licence: str | None = None, datasets: Collection[str] = ()
) -> dict[str, bytes]:
    """Return what a repository of ``bundle`` holds: each file's name and bytes.

    Raises:
        HubFailed: ``to`` names no repository.
        LicenceUnclear: whether its weights may be passed on cannot be told, and no licence was
            chosen.
    """
    check_destination(to)
    licence = licence_for(bundle.meta, licence)
    files = {
        "model.fursure": _as_file(bundle),
        "model.onnx": bundle.model,
        "head.safetensors": head_tensors(bundle),
        "preprocessor_config.json": _processor(bundle.meta.preprocess),
    }
    there = {name: data for name, data in files.items() if data is not None}
    readme = hub_card(
        bundle.meta, bundle.card, name=to.name, licence=licence, datasets=datasets, files=there
    )
    return {"README.md": readme.encode(), **there}


def push(files: Mapping[str, bytes], to: Destination) -> Pushed:
    """Send them, and take away what an earlier model had there and this one lacks.

    Raises:
        HubFailed: there is no token, or it may not, or no network; or something else is there.
    """
    return upload(files, to, gone=OPTIONAL - files.keys())


def write_into(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files into a folder, which is made where it is missing.

    Raises:
        BadData: other files are in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if others := sorted({path.name for path in folder.iterdir()} - files.keys()):
        raise BadData(f"{folder} holds {others[0]}, which is no part of it; name an empty folder.")
    for name, data in files.items():
        with replacing(folder / name, needs=len(data)) as file:
            file.write(data)


def _as_file(bundle: Bundle) -> bytes:
    """Return the model as one file, whatever form it was read in."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.fursure"
        bundle.write(path)
        return path.read_bytes()


def head_tensors(bundle: Bundle) -> bytes | None:
    """Return the layers after the encoder as safetensors: weights (K, D) and biases, in order.

    None where the network does not name them as ours do.
    """
    tensors: dict[str, NDArray[np.generic]] = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in onnx.load_from_string(bundle.model).graph.initializer
        if tensor.name.startswith("head.")
    }
    layers: dict[str, NDArray[np.generic]] = {}
    while (name := f"head.weight{len(layers) // 2}") in tensors:
        number = len(layers) // 2
        weight_KD = np.ascontiguousarray(tensors[name].T)
        layers |= {f"{number}.weight": weight_KD, f"{number}.bias": tensors[f"head.bias{number}"]}
    if not layers:
        return None
    metadata = {
        "labels": json.dumps(bundle.meta.labels, ensure_ascii=False),
        "temperature": repr(bundle.meta.temperature),
    }
    return save(layers, metadata)


def _processor(preprocess: Preprocess) -> bytes | None:
    """Return what transformers calls an image processor; None: it has none such.

    The network normalises, so that this does not.
    """
    square = {"height": preprocess.size, "width": preprocess.size}
    match preprocess.mode:
        case "crop":
            shorter = round(preprocess.size / preprocess.crop)
            size = {"size": {"shortest_edge": shorter}, "do_center_crop": True, "crop_size": square}
        case "squash":
            size = {"size": square, "do_center_crop": False}
        case "pad":
            return None
    common = {
        "do_convert_rgb": True,
        "do_resize": True,
        "resample": _RESAMPLE[preprocess.interpolation],
        "do_rescale": False,
        "do_normalize": False,
        "data_format": "channels_last",
    }
    return json.dumps(common | size, indent=1).encode()
