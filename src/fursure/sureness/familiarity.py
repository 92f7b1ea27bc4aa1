"""Features → how familiar a photo is, compared with the photos the model learnt from.

A classifier is confidently wrong about a photo of neither class; its features still lie far from
all it has seen. Familiarity is the cosine to the k-th nearest of some reference features (Sun et
al., ICML 2022), told as a rank among held-out photos of known classes, so a threshold of 0.01
gives up 1 % of those, whatever the network, and is set without a single stranger. A `Readout` adds
what the classifier itself has against a photo.

Dimension key: N photos, D features, R directions kept, M references, Q knots of the curve.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fursure.parallel import in_order
from fursure.rows.table import FeatureTable
from fursure.sureness.principal import principal_directions
from fursure.sureness.ranks import KNOTS, TAIL_KNOTS, curve
from fursure.sureness.readout import FEWEST_FOR_SCALE, Readout

# Subtracting the mean feature takes away what is common to all photos of one origin, and some of
# what is common to the classes. With a MobileNetV2, 0 calls one in five known photos of another
# origin strangers and misses 4 % of the strangers; 1 calls hardly any and misses 8 %.
SHIFT = 0.8
RANK = 128  # directions that carry the references; 256 recognise no more strangers
REFERENCES_KEPT = 4096  # at most: time grows with them, and twice as many recognise hardly more
NEIGHBOURS = 10  # the nearest reference whose cosine counts; fewer where a class has few photos:
SPARSE = 15  # photos of a class for each, for of 50 photos hardly ten look alike
_TELLING = 16384  # photos, by chance, that tell the middle and the directions of more
_PARTS = 10  # of the references, each part seen by the others
_BLOCK = 128  # photos compared at once, to bound the memory
Vectors = NDArray[np.floating] | FeatureTable  # (N, D)


@dataclass(frozen=True, kw_only=True, eq=False)
class Familiar:
    """What is familiar, in at most 2 MB; photos less familiar than ``threshold`` are strangers."""

    centre: NDArray[np.float32]  # (D,)
    basis: NDArray[np.float16]  # (D, R)
    scale: NDArray[np.float32]  # (R,)
    references: NDArray[np.int8]  # (M, R); times the scale: coordinates in the basis
    similarity: NDArray[np.float64]  # (Q,), increasing
    share: NDArray[np.float64]  # (Q,), of held-out photos that are at most so similar
    k: int
    threshold: float = 0.01
    readout: Readout | None = None  # the curve is then of its joined score
    first: int = 0  # features in front of those that count: a tuned network's, beside a frozen one

    def familiarity(self, features_ND: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return the share of held-out known photos that are at most as similar, in [0, 1].

        1 is as familiar as the most familiar of them, 0 far less than all. Features that are not
        finite resemble nothing: 0. A row's result does not depend on the others.

        Raises:
            ValueError: the features are not (N, D).
        """
        features_ND = np.asarray(features_ND)
        needed = self.first + len(self.centre)
        if features_ND.ndim != 2 or features_ND.shape[1] != needed:
            raise ValueError(f"features have shape {features_ND.shape}; (photos, {needed}) needed.")
        features_ND = features_ND[:, self.first :]
        finite_N = np.isfinite(features_ND).all(axis=1)
        score_N = self._score(np.where(finite_N[:, None], features_ND, 0))
        share_N = np.interp(score_N, self.similarity, self.share, left=0.0)
        return np.where(finite_N, share_N, 0.0).astype(np.float32)

    @cached_property
    def _expanded(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        # double precision throughout: in single, BLAS rounds one photo unlike a batch of them
        basis_DR = self.basis.astype(np.float64) * self.scale.astype(np.float64)
        return basis_DR, self.references.T.astype(np.float64)

    def _score(self, features_ND: Vectors) -> NDArray[np.float64]:
        similarity_N = self._similarity(features_ND)
        return self.readout.joined(similarity_N, features_ND[:]) if self.readout else similarity_N

    def _similarity(self, features_ND: Vectors) -> NDArray[np.float64]:
        """Return the cosine to the k-th nearest reference."""
        basis_DR, references_RM = self._expanded
        similarity_N = np.empty(len(features_ND))
        for start in range(0, len(features_ND), _BLOCK):
            block_ND = _seen_from(self.centre, features_ND[start : start + _BLOCK])
            cosine_NM = block_ND @ basis_DR @ references_RM
            similarity_N[start : start + _BLOCK] = np.partition(cosine_NM, -self.k, axis=1)[
                :, -self.k
            ]
        return similarity_N

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return plain arrays, ready for ``np.savez``."""
        readout = {} if self.readout is None else {n: getattr(self.readout, n) for n in _READOUT}
        first = {"first": np.asarray(self.first, dtype=np.int64)} if self.first else {}
        return (
            readout
            | first
            | {
                "centre": self.centre,
                "basis": self.basis,
                "scale": self.scale,
                "references": self.references,
                "similarity": self.similarity,
                "share": self.share,
                "k": np.asarray(self.k, dtype=np.int64),
                "threshold": np.asarray(self.threshold, dtype=np.float64),
            }
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Return what `to_arrays` wrote, read from a file nobody vouches for.

        Raises:
            ValueError: an array is missing, too many, of another type or shape, or impossible.
        """
        # bundles made before there was a read-out have none, and are none the worse for it
        layout = _LAYOUT | (_READOUT if arrays.keys() & _READOUT.keys() else {})
        layout |= _FIRST if "first" in arrays else {}
        if set(arrays) != set(layout):
            raise ValueError(f"familiar features hold {sorted(arrays)}; {sorted(layout)} needed.")
        loaded = {name: np.asarray(arrays[name]) for name in layout}
        sizes: dict[str, int] = {}
        for name, (dtype, axes) in layout.items():
            _check(name, loaded[name], dtype, axes, sizes)
        familiar = cls(
            centre=loaded["centre"],
            basis=loaded["basis"],
            scale=loaded["scale"],
            references=loaded["references"],
            similarity=loaded["similarity"],
            share=loaded["share"],
            k=int(loaded["k"]),
            threshold=float(loaded["threshold"]),
            readout=_readout(loaded) if "weights" in loaded else None,
            first=int(loaded.get("first", 0)),
        )
        if familiar.first < 0:
            raise ValueError(f"{familiar.first} features in front of those that count: impossible.")
        if not 1 <= familiar.k <= sizes["M"]:
            raise ValueError(f"k = {familiar.k} is impossible among {sizes['M']} references.")
        if not 0 <= familiar.threshold <= 1:
            raise ValueError(f"threshold {familiar.threshold} must lie between 0 and 1.")
        steps_Q, rises_Q = np.diff(familiar.similarity), np.diff(familiar.share)
        shares = familiar.share[0] >= 0 and familiar.share[-1] <= 1
        if (steps_Q <= 0).any() or (rises_Q < 0).any() or not shares:
            raise ValueError("the familiarity curve must rise from similarities to shares.")
        return familiar


_LAYOUT: dict[str, tuple[type[np.generic], str]] = {
    "centre": (np.float32, "D"),
    "basis": (np.float16, "DR"),
    "scale": (np.float32, "R"),
    "references": (np.int8, "MR"),
    "similarity": (np.float64, "Q"),
    "share": (np.float64, "Q"),
    "k": (np.int64, ""),
    "threshold": (np.float64, ""),
}
_FIRST: dict[str, tuple[type[np.generic], str]] = {"first": (np.int64, "")}
_READOUT: dict[str, tuple[type[np.generic], str]] = {
    "weights": (np.float32, "DJ"),
    "bias": (np.float32, "J"),
    "tails": (np.float64, "TT"),
}


def _readout(loaded: Mapping[str, NDArray[Any]]) -> Readout:
    if loaded["tails"].shape != (2, 2) or not (loaded["tails"][:, 1] > 0).all():
        raise ValueError("the read-out's tails must be two, each with a scale above 0.")
    return Readout(**{name: loaded[name] for name in _READOUT})


def _check(
    name: str, array: NDArray[Any], dtype: type[np.generic], axes: str, sizes: dict[str, int]
) -> None:
    if array.dtype != dtype or array.ndim != len(axes):
        raise ValueError(
            f"familiar array {name!r} is {array.dtype} with {array.ndim} axes; "
            f"{dtype.__name__} with {len(axes)} needed."
        )
    for axis, size in zip(axes, array.shape, strict=True):
        if size != sizes.setdefault(axis, size) or size == 0:
            raise ValueError(f"familiar array {name!r} has shape {array.shape}, unlike the others.")
    if not np.isfinite(array).all():
        raise ValueError(f"familiar array {name!r} contains NaN or infinity.")


def fit_familiar(
    train_ND: Vectors,
    labels_N: NDArray[np.integer],
    held_out_ND: Vectors | None = None,
    *,
    groups: Sequence[str] | None = None,
    frozen: bool = False,
    readout: Readout | None = None,
    k: int | None = None,
    budget_bytes: int = 2_000_000,
    seed: int = 0,
    threads: int = 1,
) -> Familiar:
    """Return what is familiar after seeing the features of the training photos.

    The references are training photos, drawn class by class in turn: rare classes keep all of
    theirs. Known photos set the curve: ``held_out_ND``, which trained nothing; and where the
    network is ``frozen`` or none is held out, the references too, each part of them as the other
    parts see it. Photos of one of the ``groups`` (near-duplicates; without any each photo is one)
    stay in one part. Of photos like these 1 % fall below the threshold on average. A ``readout``
    is scaled by held-out photos alone; it is left out where fewer than `FEWEST_FOR_SCALE` are, or
    where it would take a quarter of the budget.

    Raises:
        ValueError: the arrays do not fit together or are not finite, or the budget is too small.
    """
    _validate(train_ND, labels_N, held_out_ND)
    held_out_ND = train_ND[:0] if held_out_ND is None else held_out_ND
    if readout is not None and (
        len(held_out_ND) < FEWEST_FOR_SCALE or 4 * readout.size > budget_bytes
    ):
        readout = None
    budget_bytes -= readout.size if readout else 0
    rng = np.random.default_rng(seed)
    k = k or int(np.clip(len(labels_N) // (SPARSE * len(np.unique(labels_N))), 1, NEIGHBOURS))
    familiar, chosen_M = _referring(train_ND, labels_N, k, budget_bytes, rng)
    if readout is not None:
        similarity_N = familiar._similarity(held_out_ND)
        familiar = replace(familiar, readout=readout.scaled(similarity_N, held_out_ND[:]))
    score_N = familiar._score(held_out_ND)
    if readout is None and (frozen or len(held_out_ND) == 0):
        part_M = _parts([groups[row] for row in chosen_M] if groups else chosen_M, rng)

        def unseen(part: int) -> NDArray[np.float64]:
            others = chosen_M[part_M != part]
            seen_by_others, _ = _referring(
                train_ND[others], labels_N[others], k, budget_bytes, rngs[part], familiar.basis
            )
            return seen_by_others._score(train_ND[chosen_M[part_M == part]])

        rngs = rng.spawn(_PARTS)  # one each: the parts are computed side by side
        parts = [part for part in range(_PARTS) if 2 <= (part_M != part).sum() < len(part_M)]
        score_N = np.concatenate([score_N, *in_order(unseen, parts, threads=threads)])
    if len(score_N) == 0:  # all photos are near-duplicates of each other: nothing is held out
        score_N = familiar._score(train_ND[:1])
    similarity_Q, share_Q = curve(score_N, lowest=-1.0)
    return replace(familiar, similarity=similarity_Q, share=share_Q)


def _referring(
    train_ND: Vectors,
    labels_N: NDArray[np.integer],
    k: int,
    budget_bytes: int,
    rng: "np.random.Generator",
    near_DR: NDArray[np.float16] | None = None,
) -> tuple[Familiar, NDArray[np.int64]]:
    """Return the references without a curve, and which of the photos they are.

    ``near_DR`` is the basis of photos most of which are among these.
    """
    features = train_ND.shape[1]
    # centre, curve, and the file's headers
    room = budget_bytes - 4 * features - 16 * (KNOTS + TAIL_KNOTS) - 4096
    rank = min(RANK, *train_ND.shape, room // (4 * features))  # the basis takes half of it at most
    count = min(len(train_ND), REFERENCES_KEPT, (room - 2 * features * rank) // max(rank, 1))
    if rank < 1 or count < 2:
        raise ValueError(f"{budget_bytes} bytes cannot hold references of {features} features.")
    telling_ND = train_ND if len(train_ND) <= _TELLING else train_ND[_spread(len(train_ND), rng)]
    centre_D = (SHIFT * _mean_direction(telling_ND)).astype(np.float32)
    # The references' best approximation of that rank; a photo keeps its full length, so what it
    # has outside of them makes it less familiar.
    rows_ND = _directions(telling_ND, centre_D)
    basis_DR = principal_directions(rows_ND, rank, rng, near_DR).astype(np.float16)
    chosen_M = _in_turn(labels_N, rng)[:count]
    coordinates_MR = _directions(train_ND[chosen_M], centre_D) @ basis_DR.astype(np.float32)
    scale_R = np.maximum(np.abs(coordinates_MR).max(axis=0), 1e-12) / 127
    familiar = Familiar(
        centre=centre_D,
        basis=basis_DR,
        scale=scale_R.astype(np.float32),
        references=np.rint(coordinates_MR / scale_R).astype(np.int8),
        similarity=np.zeros(1),
        share=np.zeros(1),
        k=min(k, count - 1),
    )
    return familiar, chosen_M


def _spread(count: int, rng: "np.random.Generator") -> NDArray[np.intp]:
    """Return the rows of some photos, by chance, in order."""
    return np.sort(rng.permutation(count)[:_TELLING])


def _parts(
    groups_M: Sequence[str] | NDArray[np.int64], rng: "np.random.Generator"
) -> NDArray[np.int64]:
    """Return a part for each photo; a group is never divided."""
    _, group_M = np.unique(np.asarray(groups_M), return_inverse=True)
    return np.asarray((rng.permutation(int(group_M.max()) + 1) % _PARTS)[group_M], np.int64)


def _validate(
    train_ND: Vectors,
    labels_N: NDArray[np.integer],
    held_out_ND: Vectors | None,
) -> None:
    if len(train_ND.shape) != 2 or len(train_ND) < 2 or labels_N.shape != train_ND.shape[:1]:
        raise ValueError(
            f"features of shape {train_ND.shape} and labels of shape {labels_N.shape} do not fit; "
            "(photos, features) and (photos,) of two photos or more needed."
        )
    held_out = train_ND[:0] if held_out_ND is None else held_out_ND
    if len(held_out.shape) != 2 or held_out.shape[1] != train_ND.shape[1]:
        raise ValueError(
            f"held-out features have shape {held_out.shape}; (photos, {train_ND.shape[1]}) needed."
        )
    if not (_all_finite(train_ND) and _all_finite(held_out)):
        raise ValueError("features contain NaN or infinity.")


def _all_finite(features_ND: Vectors) -> bool:
    table = FeatureTable.of(features_ND)
    return all(bool(np.isfinite(table[place]).all()) for place in table.places())


def _mean_direction(features_ND: Vectors) -> NDArray[np.float64]:
    """Return the mean (D,) of the features' unit vectors, block by block to save memory."""
    nowhere_D = np.zeros(features_ND.shape[1], np.float32)
    blocks = range(0, len(features_ND), _BLOCK)
    sums = [_seen_from(nowhere_D, features_ND[row : row + _BLOCK]).sum(axis=0) for row in blocks]
    return np.asarray(np.sum(sums, axis=0) / len(features_ND))


def _directions(features_ND: Vectors, centre_D: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return `_seen_from` the centre in single precision, block by block to save memory."""
    rows_ND = np.empty(features_ND.shape, np.float32)
    for start in range(0, len(rows_ND), _BLOCK):
        rows_ND[start : start + _BLOCK] = _seen_from(centre_D, features_ND[start : start + _BLOCK])
    return rows_ND


def _seen_from(
    centre_D: NDArray[np.float32], features_ND: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return unit vectors: the way from the centre to the features' own directions."""
    return unit(unit(features_ND.astype(np.float64)) - centre_D)


def unit(vectors_ND: NDArray[np.floating]) -> NDArray[Any]:
    """Return the rows (N, D) at length 1; rows of zeros stay as they are."""
    norm_N1 = np.sqrt(np.einsum("nd,nd->n", vectors_ND, vectors_ND))[:, None]
    return np.asarray(vectors_ND / np.maximum(norm_N1, 1e-30))


def _in_turn(labels_N: NDArray[np.integer], rng: "np.random.Generator") -> NDArray[np.int64]:
    """Return all rows, the classes taking turns, each class in random order."""
    shuffled_N = rng.permutation(len(labels_N))
    by_class_N = shuffled_N[np.argsort(labels_N[shuffled_N], kind="stable")]
    _, starts, counts = np.unique(labels_N[by_class_N], return_index=True, return_counts=True)
    turn_N = np.arange(len(labels_N)) - np.repeat(starts, counts)
    return np.asarray(by_class_N[np.argsort(turn_N, kind="stable")], dtype=np.int64)
