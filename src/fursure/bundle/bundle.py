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
import json
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fursure.bundle.members import check_size, check_sums, read_members
from fursure.bundle.meta import Meta
from fursure.errors import BadBundle, RiskNotCertified, some
from fursure.files import replacing
from fursure.graphs.splice import spliced
from fursure.graphs.tensors import check_contained
from fursure.npz import packed, unpacked
from fursure.strict import parsed
from fursure.sureness.familiarity import Familiar

MOST_FAMILIAR = 2**23  # bytes; they are made to fit 2 MB


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
        every = (self.training, self.validation, self.encoder)
        return any(is_among(digests, str(sha256)) for digests in every)


def is_among(digests: NDArray[np.uint64], sha256: str) -> bool:
    """Return whether a digest's first 8 bytes are among those, which are sorted."""
    key = short_digests([sha256])[0]
    place = int(np.searchsorted(digests, key))
    return place < len(digests) and bool(digests[place] == key)


def short_digest(sha256: str) -> int:
    """Return the first 8 bytes of a digest."""
    return int(sha256[:16], 16)


def short_digests(digests: Iterable[str]) -> NDArray[np.uint64]:
    """Return the first 8 bytes of each digest, sorted."""
    return np.sort(np.fromiter(map(short_digest, digests), np.uint64))


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Bundle:
    """A model, wholly in memory and checked."""

    meta: Meta
    model: bytes  # ONNX
    familiar: Familiar
    seen: Seen
    golden: Golden
    card: str
    shipped: bool = False  # it came in the package, and is nobody else's

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
        certified = self.meta.risks.threshold_for(max_error)
        if certified is None:
            raise RiskNotCertified(self.meta.name, self.meta.risks.explain(max_error))
        return certified

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
                check_size(name, len(data))
            self._parse(members)
        except (ValueError, KeyError, TypeError) as error:
            raise BadBundle(
                path, f"it was not written, for it could not be read: {error}"
            ) from None
        size = sum(map(len, members.values()))
        with replacing(path, needs=size) as file, zipfile.ZipFile(file, "w") as archive:
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
            "familiar.npz": packed(self.familiar.to_arrays() | seen),
            "golden.npz": packed(golden),
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
            members = read_members(path)
            known = {}
            if (splice := members.pop("model.splice", None)) is not None:
                members["model.onnx"], known["model.onnx"] = spliced(splice)
            check_sums(members, known)
            return cls._parse(members)
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            reason = f"lacks {error}" if isinstance(error, KeyError) else str(error)
            raise BadBundle(path, reason) from None
        except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
            raise BadBundle(path, f"damaged ({error}); copy it again") from None

    @classmethod
    def _parse(cls, members: Mapping[str, bytes]) -> "Bundle":
        model = members["model.onnx"]
        check_contained(model)
        meta = Meta.from_json(parsed(members["bundle.json"].decode(), "bundle.json"))
        arrays = unpacked(members["familiar.npz"])
        seen = Seen(
            training=_digests(arrays.pop("seen_training")),
            validation=_digests(arrays.pop("seen_validation")),
            encoder=_digests(arrays.pop("seen_encoder", np.zeros(0, np.uint64))),
        )
        return cls(
            meta=meta,
            model=model,
            familiar=_familiar(arrays, meta),
            seen=seen,
            golden=_golden(unpacked(members["golden.npz"]), meta),
            card=members["card.md"].decode(),
        )


def _familiar(arrays: Mapping[str, NDArray[Any]], meta: Meta) -> Familiar:
    if sum(array.nbytes for array in arrays.values()) > MOST_FAMILIAR:
        raise ValueError(f"its familiar features are more than {MOST_FAMILIAR} bytes")
    familiar = Familiar.from_arrays(arrays)
    if familiar.first + len(familiar.centre) != meta.features:
        raise ValueError(f"its familiar features do not fit a network with {meta.features}")
    return familiar


def _golden(arrays: Mapping[str, NDArray[Any]], meta: Meta) -> Golden:
    size, classes = meta.preprocess.size, len(meta.labels)
    pixels_NHWC = _typed(arrays["pixels"], np.uint8, 4)
    probs_NK = _typed(arrays["probs"], np.float32, 2)
    if pixels_NHWC.shape[1:] != (size, size, 3) or not len(pixels_NHWC):
        raise ValueError(f"its golden pixels have the shape {pixels_NHWC.shape}")
    if probs_NK.shape != (len(pixels_NHWC), classes) or not np.isfinite(probs_NK).all():
        raise ValueError("its golden answers do not fit its labels")
    return Golden(
        jpeg=_typed(arrays["jpeg"], np.uint8, 1).tobytes(),
        digest=_typed(arrays["digest"], np.uint8, 1).tobytes().hex(),
        pixels_NHWC=pixels_NHWC,
        probs_NK=probs_NK,
    )


def _typed(array: NDArray[Any], dtype: type[Any], ndim: int) -> NDArray[Any]:
    if array.dtype != dtype or array.ndim != ndim:
        raise ValueError(f"an array in it is {array.dtype} of {array.ndim} dimensions")
    return array


def _digests(array: NDArray[Any]) -> NDArray[np.uint64]:
    digests_N = _typed(array, np.uint64, 1)
    if (digests_N[1:] < digests_N[:-1]).any():
        raise ValueError("the digests of its photos are in no order")
    return digests_N
