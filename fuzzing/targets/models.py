"""Models: a bundle whole and its parts, a network of ONNX, a splice, a file of Keras."""

import io
import json
import zipfile
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import numpy as np

from fursure.bundle.bundle import Bundle
from fursure.bundle.meta import Meta
from fursure.errors import BadBackbone, BadBundle, FursureError
from fursure.graphs.splice import spliced
from fursure.graphs.tensors import check_contained
from fursure.npz import packed, unpacked
from fursure.strict import parsed
from fursure.sureness.familiarity import Familiar
from fuzzing.mutate import Change
from fuzzing.shapes import bundle, either, inside, json_changed, members_of
from fuzzing.targets import Target, kept, own_folder

PLACE = own_folder()
CAUGHT = (OSError, ValueError, KeyError, TypeError, RecursionError)  # by `Bundle.read`, into words
CAUGHT_ZIPS = (*CAUGHT, zipfile.BadZipFile, NotImplementedError, EOFError)
SECONDS = 20.0  # in which the child that reads a file of Keras has to end
PARTS = {
    "meta": "bundle.json",
    "npz": "familiar.npz",
    "onnx": "model.onnx",
    "network": "model.onnx",
}
JSON = (
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b'"',
    b"\\u0000",
    b"\\ud800",
    b"null",
    b"true",
    b"1e999",
)
NPY = (b"\x93NUMPY\x01\0", b"'descr': ", b"'<f4'", b"'|O'", b"'shape': ", b"(", b")", b",", b"True")
WIRE = tuple(bytes([number << 3 | kind]) for number in range(1, 26) for kind in (0, 2, 5))
HDF = (b"\x89HDF\r\n\x1a\n", b"TREE", b"SNOD", b"HEAP", b"OHDR", b"GCOL", b"FRHP", b"layer_names")


def _read_bundle(data: bytes) -> object:
    path = PLACE / "m.fursure"
    path.write_bytes(data)
    read = Bundle.read(path)
    return read.meta.format, len(read.meta.labels), read.familiar.k > 5


def _read_meta(data: bytes) -> object:
    meta = Meta.from_json(parsed(data.decode(), "bundle.json"))
    json.dumps(meta.to_json(), allow_nan=False)
    return meta.format, meta.labels[:2], sorted(meta.figures)[:3]


def _read_arrays(data: bytes) -> object:
    arrays = unpacked(data)
    arrays = {name: array for name, array in arrays.items() if not name.startswith("seen_")}
    return Familiar.from_arrays(arrays).k


def _read_graph(data: bytes) -> None:
    check_contained(data)


def _read_network(data: bytes) -> object:
    from fursure.graphs.plain import parsed_graph as network

    return len(network(data, PLACE / "net.onnx").graph.node)


def _read_splice(data: bytes) -> object:
    return len(spliced(data)[0])


def _read_keras(data: bytes) -> object:
    """Read a file as the product does: in a child first, and here only what it survived."""
    from fursure.networks.keras_files import layers_of, opened_keras
    from fursure.networks.keras_trial import check_readable

    path = PLACE / "mine.h5"
    path.write_bytes(data)
    try:
        check_readable(path, seconds=SECONDS)
    except BadBackbone as error:
        if "ends the process" in str(error):  # it is refused in words, which is what is promised
            return "ended"
        raise
    with opened_keras(path) as file:
        return sum(len(layer.arrays()) for layer in layers_of(file, path.name))


def _arrays_changed(plain: Change) -> Change:
    """Return a change of one array of an .npz: its values, or its header at the same length."""

    def npy(data: bytes, chance: Any) -> bytes:
        size = 10 + int.from_bytes(data[8:10], "little")
        if chance.random() < 0.6:
            return data[:size] + plain(data[size:], chance)[: max(0, len(data) - size)]
        return plain(data, chance)

    return either(inside(npy), inside(_values_changed), plain)


def _values_changed(data: bytes, chance: Any) -> bytes:
    """Return an array of NumPy's whose values, type or shape are others."""
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except Exception:  # mutated before
        return data
    if not isinstance(array, np.ndarray):  # a zip of several
        return data
    floats = array.dtype.kind == "f"
    changes: list[Callable[[], Any]] = [
        lambda: array[..., :0],
        lambda: array[..., :1],
        lambda: np.concatenate([array.reshape(-1)] * 2),
        lambda: array.astype(chance.choice([np.uint8, np.float32, np.float64, np.int64])),
        lambda: np.full_like(array, np.inf if floats else 127),
        lambda: np.full_like(array, np.finfo(array.dtype).max if floats else 0),
        lambda: np.full_like(array, np.finfo(array.dtype).tiny if floats else 1),
        lambda: array.T[::-1],
    ]
    with np.errstate(all="ignore"):
        new = chance.choice(changes)() if array.ndim else np.asarray(chance.choice([0, 9e9]))
    buffer = io.BytesIO()
    np.save(buffer, new)
    return buffer.getvalue()


def _bundle_changed(plain: Change) -> Change:
    arrays = _arrays_changed(plain)
    by_name = {
        "bundle.json": either(json_changed, json_changed, plain),
        "familiar.npz": arrays,
        "golden.npz": arrays,
    }
    return either(*[bundle(plain, by_name)] * 7, plain)


def _splice() -> bytes:
    """Return a splice of a network's first weights, as those in the wheel are."""
    whole = (files("fursure") / "models" / "lite0.splice").read_bytes()
    line, _, between = whole.partition(b"\n")
    header = json.loads(line)
    header["parts"] = header["parts"][:6]
    return json.dumps(header).encode() + b"\n" + between[:2000]


def _keras() -> bytes:
    import h5py

    with h5py.File(PLACE / "drawn.h5", "w") as file:
        file.attrs["layer_names"] = [b"conv"]
        group = file.create_group("conv")
        group.attrs["weight_names"] = [b"conv/kernel:0", b"conv/bias:0"]
        group["conv/kernel:0"] = np.ones((3, 3, 3, 4), np.float32)
        group["conv/bias:0"] = np.zeros(4, np.float32)
    return (PLACE / "drawn.h5").read_bytes()


def target(name: str) -> Target:
    """Return the door of a bundle, of one of its parts, or of what a network comes from."""
    small = kept("bundle")[0]
    members = members_of(small)
    seeds = [members[PARTS[name]]] if name in PARTS else []
    change: Callable[[Change], Change] | None = None
    promised: tuple[type[BaseException], ...] = CAUGHT
    words: tuple[bytes, ...] = JSON
    match name:
        case "meta":
            call: Callable[[bytes], object] = _read_meta
            change = lambda plain: either(json_changed, json_changed, plain)  # noqa: E731
        case "npz":
            call, promised, words = _read_arrays, CAUGHT_ZIPS, NPY
            seeds += [members["golden.npz"], packed({"k": np.array(5)})]
            change = _arrays_changed
        case "onnx":
            call, words = _read_graph, WIRE
        case "network":
            call, promised, words = _read_network, (BadBackbone,), WIRE
        case "splice":
            call, promised = _read_splice, (*CAUGHT, FursureError)
            seeds = [_splice()]
        case "h5":
            call, promised, words = _read_keras, (BadBackbone,), HDF
            seeds = [_keras()]
        case _:
            call, promised = _read_bundle, (BadBundle, FursureError)
            change = _bundle_changed
    return Target(
        call=call, promised=promised, seeds=[*seeds, *kept(name)], words=words, change=change
    )
