"""The model on disk: everything needed to answer, and the proof that it answers right.

NAME.fursure    a stored (uncompressed) zip, or the same files in a folder
├── model.onnx      pixels (uint8 N,H,W,3) -> probs, logits (N,K), features (N,D), heat (N,h,w)
├── bundle.json     labels, preprocessing, calibration, risks, recipe, figures: `Meta`
├── familiar.npz    reference features, and the digests of the photos it and its encoder have seen
├── golden.npz      a drawn JPEG, its pixels, and what the trainer's network answered
├── card.md         the same for people
└── SHA256SUMS      of all the others

Nothing in it can run: no pickle, no external data, and no photo of the user's. A reader takes
these names only, each below its size limit, and checks every digest before it parses a byte.

Dimension key: N photos, K classes, D features, H W height and width, h w cells of a map.
"""

import hashlib
import io
import json
import re
import stat
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fursure.errors import BadBundle, RiskNotCertified, some
from fursure.files import replacing
from fursure.images.preprocess import Preprocess
from fursure.splice import spliced
from fursure.sureness.familiarity import Familiar
from fursure.sureness.risk import RiskTable
from fursure.tensors import self_contained

FORMAT = 2  # 1 did not tell what photos a trained encoder has seen; it is read as well
LIMITS = {  # bytes; a bundle holds exactly these members, with either form of the network
    "model.onnx": 2**31 - 1,
    "model.splice": 2**24,  # the network less the weights of a data package
    "bundle.json": 2**24,  # half a kilobyte a class
    "familiar.npz": 2**26,
    "golden.npz": 2**24,
    "card.md": 2**20,
    "SHA256SUMS": 2**16,
}
UNCERTIFIED = 0.9  # confidence for an answer without a certificate; none lowers it unasked
MAX_DEPTH = 20  # nested values in bundle.json


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """The contents of ``bundle.json``."""

    name: str
    labels: tuple[str, ...]
    preprocess: Preprocess
    features: int  # D
    temperature: float  # > 1 softens overconfident logits (Guo et al., ICML 2017)
    max_error: float  # the risk accepted when the user states none
    risks: RiskTable  # risk -> confidence threshold
    engine_gap: float  # largest |difference| of a probability between engines, as trained
    backbone: str
    licence: str  # of the backbone's weights
    recipe: Mapping[str, Any]
    data: Mapping[str, Any]  # digest, photos of each class and split
    figures: Mapping[str, Any]  # an `Evaluation` as JSON, and what it was measured on
    versions: Mapping[str, str] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def default_threshold(self) -> float:
        """Return the confidence from which the model answers unless asked otherwise."""
        return max(UNCERTIFIED, self.risks.threshold_for(self.max_error) or 0.0)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        values = {name.name: getattr(self, name.name) for name in fields(self)}
        return values | {
            "labels": list(self.labels),
            "preprocess": self.preprocess.to_json(),
            "risks": self.risks.to_json(),
        }

    @classmethod
    def from_json(cls, values: Any) -> "Meta":
        """Return what ``to_json`` wrote; what an older version did not write has its default.

        Raises:
            ValueError: a value is missing, unknown or impossible.
        """
        if not isinstance(values, dict):
            raise ValueError("bundle.json is no table")
        version = values.get("format")
        if type(version) is not int or version < 1:
            raise ValueError(f"its format is {version!r}, which no fursure wrote")
        if version > FORMAT:
            raise ValueError(
                f"its format is {version} and this fursure reads up to {FORMAT}; upgrade fursure"
            )
        if unknown := values.keys() - {one.name for one in fields(cls)}:
            raise ValueError(f"bundle.json holds {', '.join(sorted(unknown))}, which is unknown")
        needed = {one.name for one in fields(cls) if one.default is one.default_factory is MISSING}
        if lacking := needed - values.keys():
            raise ValueError(f"bundle.json lacks {', '.join(sorted(lacking))}")
        meta = cls(
            **values
            | {
                "labels": _labels(values["labels"]),
                "preprocess": Preprocess.from_json(values["preprocess"]),
                "risks": RiskTable.from_json(values["risks"]),
            }
        )
        meta._check_numbers()
        return meta

    def _check_numbers(self) -> None:
        for name, low, high in [
            ("temperature", 1e-3, 1e3),
            ("max_error", 0, 1),
            ("engine_gap", 0, 1),
            ("features", 1, 2**20),
        ]:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise ValueError(f"{name} in bundle.json is no number")
            if not low <= value <= high:
                raise ValueError(f"{name} in bundle.json is {value}, outside [{low}, {high}]")


def _labels(values: Any) -> tuple[str, ...]:
    if (
        not isinstance(values, list)
        or len(values) < 2
        or len(set(map(str, values))) != len(values)
        or not all(isinstance(one, str) and 0 < len(one) <= 200 for one in values)
        or not all(one.isprintable() for one in values)
    ):
        raise ValueError("its labels are not at least two different printable names")
    return tuple(values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """Inputs drawn by code, and the answers of the trainer's network to them."""

    jpeg: bytes  # a drawing, compressed
    digest: str  # sha256 of its pixels after decoding and preprocessing
    pixels_NHWC: NDArray[np.uint8]  # the first row is the JPEG's
    probs_NK: NDArray[np.float32]  # by ONNX Runtime in fp32


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The photos a model was made from, as the first 8 bytes of their digests, sorted."""

    training: NDArray[np.uint64]
    validation: NDArray[np.uint64]
    encoder: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))
    # what the encoder's own weights were trained on, by this model or by those it came from

    def __contains__(self, sha256: object) -> bool:
        key = short_digests([str(sha256)])[0]
        return any(
            len(one) > 0 and one[min(int(np.searchsorted(one, key)), len(one) - 1)] == key
            for one in (self.training, self.validation, self.encoder)
        )


def short_digest(sha256: str) -> int:
    """Return the first 8 bytes of a digest."""
    return int(sha256[:16], 16)


def short_digests(digests: Iterable[str]) -> NDArray[np.uint64]:
    """Return the first 8 bytes of each digest, sorted."""
    return np.sort(np.array([short_digest(digest) for digest in digests], np.uint64))


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Bundle:
    """A model, wholly in memory and checked."""

    meta: Meta
    model: bytes  # ONNX
    familiar: Familiar
    seen: Seen
    golden: Golden
    card: str

    def __repr__(self) -> str:
        """Return what it is, on one line and without its weights."""
        size = f"{len(self.model) / 1e6:.1f} MB"
        return f"Bundle({self.meta.name!r}: {some(self.meta.labels)}; {self.meta.backbone}, {size})"

    @property
    def encoder_seen(self) -> frozenset[int]:
        """Return what the encoder was trained on; format 1 tells by the recipe whether it was."""
        seen = self.seen.encoder.tolist()
        if self.meta.format == 1 and self.meta.recipe.get("tune") is not None:
            seen += self.seen.training.tolist() + self.seen.validation.tolist()
        return frozenset(seen)

    @property
    def digest(self) -> str:
        """Return what identifies the model: the sha256 of its network and its facts."""
        facts = json.dumps(self.meta.to_json(), sort_keys=True)
        return hashlib.sha256(hashlib.sha256(self.model).digest() + facts.encode()).hexdigest()

    def threshold(self, max_error: float | None = None) -> float:
        """Return the confidence from which an answer keeps the risk ``max_error``.

        None takes the bundle's own default, but no less than `UNCERTIFIED`, which is also what
        holds where no risk was certified: a few photos without a mistake certify much, and
        “unsure” must not vanish for it. A risk asked for is taken at its word.

        Raises:
            RiskNotCertified: a risk was asked for that could not be certified.
        """
        if max_error is None:
            return self.meta.default_threshold
        found = self.meta.risks.threshold_for(max_error)
        if found is None:
            raise RiskNotCertified(self.meta.name, self.meta.risks.explain(max_error))
        return found

    def answer(self, label: str, confidence: float, familiarity: float, threshold: float) -> str:
        """Return what to say: "stranger" before "unsure" before the label.

        What is not familiar at all is a stranger whatever share of known photos may be lost.
        """
        if familiarity <= 0 or familiarity < self.familiar.threshold:
            return "stranger"
        return label if confidence >= threshold else "unsure"

    def write(self, path: Path) -> None:
        """Write the bundle as one file, whole or not at all; same contents, same bytes.

        What is at ``path`` is replaced only by what `read` will take.

        Raises:
            BadBundle: it could not be read again.
        """
        members = self._members()
        try:
            for name, data in members.items():
                _check_size(name, len(data))
            self._parse(members)
        except (ValueError, KeyError, TypeError) as error:
            raise BadBundle(
                path, f"it was not written, for it could not be read: {error}"
            ) from None
        with replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
            for name, data in members.items():
                info = zipfile.ZipInfo(name)  # its default date is 1980: no clock in the file
                info.external_attr = 0o644 << 16
                archive.writestr(info, data)

    def _members(self) -> dict[str, bytes]:
        golden: dict[str, NDArray[Any]] = {
            "jpeg": np.frombuffer(self.golden.jpeg, np.uint8),
            "digest": np.frombuffer(bytes.fromhex(self.golden.digest), np.uint8),
            "pixels": self.golden.pixels_NHWC,
            "probs": self.golden.probs_NK,
        }
        seen = {"seen_training": self.seen.training, "seen_validation": self.seen.validation}
        if len(self.seen.encoder):
            seen["seen_encoder"] = self.seen.encoder
        text = json.dumps(self.meta.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
        members = {
            "model.onnx": self.model,
            "bundle.json": text.encode(),
            "familiar.npz": _pack(self.familiar.to_arrays() | seen),
            "golden.npz": _pack(golden),
            "card.md": self.card.encode(),
        }
        sums = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in members.items()]
        return members | {"SHA256SUMS": "".join(sums).encode()}

    @classmethod
    def read(cls, path: Path) -> "Bundle":
        """Read and check a bundle: a `.fursure` file, or a folder with the same files.

        Raises:
            BadBundle: it is missing, damaged, foreign, or of a newer format.
        """
        if not path.exists():
            raise BadBundle(path, "there is no such file; `fursure train` makes one")
        try:
            members = _read_folder(path) if path.is_dir() else _read_zip(path)
            known = {}
            if (splice := members.pop("model.splice", None)) is not None:
                members["model.onnx"], known["model.onnx"] = spliced(splice)
            _check_sums(members, known)
            return cls._parse(members)
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            reason = f"lacks {error}" if isinstance(error, KeyError) else str(error)
            raise BadBundle(path, reason) from None
        except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
            raise BadBundle(path, f"damaged ({error}); copy it again") from None

    @classmethod
    def _parse(cls, members: Mapping[str, bytes]) -> "Bundle":
        text = members["bundle.json"].decode()
        _check_depth(text)
        if not self_contained(members["model.onnx"]):
            raise ValueError("model.onnx in it keeps weights in another file; train it again")
        meta = Meta.from_json(json.loads(text, parse_constant=_no_constant))
        arrays = _unpack(members["familiar.npz"])
        seen = Seen(
            training=_typed(arrays.pop("seen_training"), np.uint64, 1),
            validation=_typed(arrays.pop("seen_validation"), np.uint64, 1),
            encoder=_typed(arrays.pop("seen_encoder", np.zeros(0, np.uint64)), np.uint64, 1),
        )
        golden = _unpack(members["golden.npz"])
        size, classes = meta.preprocess.size, len(meta.labels)
        pixels_NHWC = _typed(golden["pixels"], np.uint8, 4)
        probs_NK = _typed(golden["probs"], np.float32, 2)
        if pixels_NHWC.shape[1:] != (size, size, 3) or not len(pixels_NHWC):
            raise ValueError(f"its golden pixels have the shape {pixels_NHWC.shape}")
        if probs_NK.shape != (len(pixels_NHWC), classes) or not np.isfinite(probs_NK).all():
            raise ValueError("its golden answers do not fit its labels")
        return cls(
            meta=meta,
            model=members["model.onnx"],
            familiar=Familiar.from_arrays(arrays),
            seen=seen,
            golden=Golden(
                jpeg=_typed(golden["jpeg"], np.uint8, 1).tobytes(),
                digest=_typed(golden["digest"], np.uint8, 1).tobytes().hex(),
                pixels_NHWC=pixels_NHWC,
                probs_NK=probs_NK,
            ),
            card=members["card.md"].decode(),
        )


@lru_cache
def shipped(name: str) -> Bundle:
    """Return a bundle that ships in the package."""
    return Bundle.read(Path(str(files("fursure") / "models" / f"{name}.fursure")))


def shipped_names() -> list[str]:
    """Return the names of the bundles in the package."""
    folder = Path(str(files("fursure") / "models"))
    return sorted(path.stem for path in folder.glob("*.fursure"))


def _read_zip(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        _check_names(entry.filename for entry in entries)
        for entry in entries:
            stored = entry.compress_type == zipfile.ZIP_STORED and not entry.flag_bits & 0x1
            if not stored or entry.file_size != entry.compress_size:
                raise ValueError(f"{entry.filename} in it is compressed or encrypted")
            _check_size(entry.filename, entry.file_size)
        return {entry.filename: archive.read(entry) for entry in entries}


def _read_folder(path: Path) -> dict[str, bytes]:
    names = sorted(one.name for one in path.iterdir())
    _check_names(names)
    members = {}
    for name in names:
        status = (path / name).lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            raise ValueError(f"{name} in it is a link or no plain file")
        _check_size(name, status.st_size)
        members[name] = (path / name).read_bytes()
    return members


def _check_names(names: Iterable[str]) -> None:
    found = list(names)
    wanted = LIMITS.keys() - {"model.onnx" if "model.splice" in found else "model.splice"}
    if missing := sorted(wanted - set(found)):
        raise ValueError(f"{missing[0]} is missing; copy it again")
    if len(found) > len(wanted):
        extra = sorted(set(found) - LIMITS.keys()) or ["a file twice"]
        raise ValueError(f"it also holds {extra[0][:100]!r}, which no bundle has")


def _check_size(name: str, size: int) -> None:
    if size > LIMITS[name]:
        raise ValueError(f"{name} in it has {size} bytes, more than the {LIMITS[name]} allowed")


def _check_sums(members: Mapping[str, bytes], known: Mapping[str, str]) -> None:
    """Compare every member's digest with what was written; those ``known`` were computed before."""
    lines = members["SHA256SUMS"].decode("ascii").splitlines()
    pairs = [line.partition("  ") for line in lines]
    sums = {name: digest for digest, _, name in pairs}
    for name in LIMITS.keys() - {"SHA256SUMS", "model.splice"}:
        digest = known.get(name) or hashlib.sha256(members[name]).hexdigest()
        if sums.get(name) != digest:
            raise ValueError(
                f"{name} in it is not what was written (its sha256 differs); copy it again"
            )


def _check_depth(text: str) -> None:
    depth = 0
    for bracket in re.findall(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(bracket, 0)
        if depth > MAX_DEPTH:
            raise ValueError(f"bundle.json nests more than {MAX_DEPTH} levels deep")


def _no_constant(name: str) -> float:
    raise ValueError(f"bundle.json holds {name}, which is no number")


def _pack(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return the arrays as an .npz without a clock in it (NumPy's own has none: 1980)."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _unpack(data: bytes) -> dict[str, NDArray[Any]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if any(one.compress_type != zipfile.ZIP_STORED for one in archive.infolist()):
            raise ValueError("an array in it is compressed")
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _typed(array: NDArray[Any], dtype: type[Any], ndim: int) -> NDArray[Any]:
    if array.dtype != dtype or array.ndim != ndim:
        raise ValueError(f"an array in it is {array.dtype} of {array.ndim} dimensions")
    return array
