"""Digests, perceptual hashes and features → near-duplicate groups.

Copies of a photo (recompressed, resized, mirrored, cropped, captioned) must not be split between
training and test. Hashes find them, features confirm or reject what hashes only suggest, and
whatever hangs together is a group.

The search looks photos up instead of comparing all pairs: two hashes that differ in at most six
bits agree in at least two of their eight bytes, so 28 tables, one for each two bytes, hold every
such pair (multi-index hashing, Norouzi et al., CVPR 2012), and most pairs up to twelve bits.

Dimension key: N photos as given, M distinct photos, U distinct hashes, V views of a photo,
E pairs, T entries of a table, D features, K whitened features.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from fursure.rows.columns import Coded
from fursure.rows.table import FeatureTable
from fursure.splitting.fingerprint import FLAT

Indices = NDArray[np.int64]
Hashes = NDArray[np.uint64]
Cosines = NDArray[np.float32]

# Measured with crops on the 72 million pairs of 12,000 photos of cats and dogs and on 6,000 altered
# copies of 300 of them, with features of MobileNetV2 and of `tiny` (docs/experiments.md):
SURE = 2  # bits; all 14 pairs are copies, and 99.7 % of plain copies (no crop or edit) are within
CLOSE = 6  # bits; 5 pairs of 3 to 6 are no copies: it counts unless features contradict
_LOOSE = 12  # bits; 7,658 pairs of 7 to 12, next to none a copy: it counts only if features confirm
CONTRADICT = 0.35  # cosine; those 5 pairs are below 0.25, and 99.8 % of the copies are above
CONFIRM = 0.7  # cosine; 0 and 8 of those 7,658 pairs are above, and 95 % and 99.7 % of the copies
_ENOUGH = 50  # photos; the mean and the spread of fewer say little, and features are not asked
CROWD = 1000  # hashes; a film's frames may be as many, but in a larger group all resemble all

_COMPONENTS = 256  # random directions that stand for the features
_SAMPLE = 4096  # photos that tell the mean and the spread of the features
_CHUNK = 65536  # pairs or hashes at a time
_U64 = np.uint64


def group(
    digests: Sequence[str],
    hashes_N: Hashes,
    mirrored_N: Hashes,
    features_ND: NDArray[np.floating] | FeatureTable | None = None,
    *,
    crops_NV: Hashes | None = None,
) -> Coded[str]:
    """Name the near-duplicate group of each photo: the smallest digest among its members.

    Photos of the same digest share a group; a photo like no other is a group of its own. The
    names do not depend on the order of the photos. Without ``crops_NV`` a copy that lost 5 % of
    its sides is found half of the time, and with features five times in six.
    """
    names = Coded.of(digests)
    code_M, photo_M, name_N = np.unique(names.code_N, return_index=True, return_inverse=True)
    seen = np.flatnonzero(hashes_N[photo_M] != FLAT)
    _, first, twin = np.unique(hashes_N[photo_M[seen]], return_index=True, return_inverse=True)
    head_U = seen[first]  # one photo a hash speaks for all, so a thousand twins are no burden
    photo_U = photo_M[head_U]
    views = [hashes_N[:, None], mirrored_N[:, None], *([] if crops_NV is None else [crops_NV])]
    joined_E2 = _joined(
        np.hstack([view_NV[photo_U] for view_NV in views]),
        None
        if features_ND is None or len(code_M) < _ENOUGH
        else lambda pairs_E2: _cosines(features_ND, photo_M[:_SAMPLE], photo_U[pairs_E2]),
    )
    twins = np.column_stack([seen, head_U[twin]])
    label_M = _components(len(code_M), np.vstack([twins, head_U[joined_E2]]))
    return Coded(names.words, code_M[label_M[name_N]])


def _joined(views_UV: Hashes, cosines: Callable[[Indices], Cosines] | None) -> Indices:
    """Return the pairs that are copies by their hashes and, where known, by their features."""
    pairs_E2, bits_E = _pairs(views_UV, CLOSE if cosines is None else _LOOSE)
    sure_E, likely_E = bits_E <= SURE, bits_E <= CLOSE
    if cosines is not None:
        cosines_E = cosines(pairs_E2)
        sure_E |= cosines_E >= CONFIRM
        likely_E &= cosines_E >= CONTRADICT
    label_U = _components(len(views_UV), pairs_E2[sure_E | likely_E])
    size_U = np.bincount(label_U, minlength=len(views_UV))
    crowded_E = size_U[label_U[pairs_E2[:, 0]]] > CROWD
    return pairs_E2[sure_E | (likely_E & ~crowded_E)]


def _pairs(views_UV: Hashes, radius: int) -> tuple[Indices, Indices]:
    """Return the pairs (E, 2) found and the fewest bits (E) between a view of one and the other.

    The first view is the photo itself.
    """
    hits = np.sort(np.concatenate(list(_hits(views_UV, radius))))
    nearest = hits[np.flatnonzero(np.diff(hits >> 7, prepend=-1))]
    low_E, high_E = np.divmod(nearest >> 7, max(1, len(views_UV)))
    return np.column_stack([low_E, high_E]), nearest & 127


def _hits(views_UV: Hashes, radius: int) -> Iterator[Indices]:
    """Yield pairs and their bits, packed into one number each, table by table and view by view."""
    count, views = views_UV.shape
    # Columns: bytes of equal horizontal frequency find more of the pairs beyond six bits.
    columns_UV = np.empty_like(views_UV)
    for start in range(0, count, _CHUNK):
        columns_UV[start : start + _CHUNK] = _transposed(views_UV[start : start + _CHUNK])
    bytes_UV8 = columns_UV.view(np.uint8).reshape(count, views, 8)
    most = 32 + count // 1000  # a key that more share tells little, and would cost their square
    everyone = np.arange(count)
    for a, b in combinations(range(8), 2):
        key_U = _keys(bytes_UV8[:, 0], a, b)
        order_U = np.argsort(key_U, kind="stable")
        size_T = np.bincount(key_U, minlength=1 << 16)
        start_T = np.cumsum(size_T) - size_T
        size_T[size_T > most] = 0
        for view in range(views):
            key_U = _keys(bytes_UV8[:, view], a, b)
            found_U = size_T[key_U]
            i = np.repeat(everyone, found_U)
            skip_U = start_T[key_U] - (np.cumsum(found_U) - found_U)
            j = order_U[np.arange(len(i)) + np.repeat(skip_U, found_U)]
            bits = _popcount(views_UV[i, view] ^ views_UV[j, 0])
            near = (bits <= radius) & (i != j)
            i, j, bits = i[near], j[near], bits[near]
            yield (np.minimum(i, j) * count + np.maximum(i, j)) << 7 | bits


def _keys(bytes_U8: NDArray[np.uint8], a: int, b: int) -> Indices:
    """Return the key of each hash (U,) in the table of two of its bytes."""
    return bytes_U8[:, a].astype(np.intp) << 8 | bytes_U8[:, b]


def _popcount(words: Hashes) -> Indices:
    """Count the ones of each word (Warren, Hacker's Delight, 5-1); NumPy 1 cannot."""
    pairs = words - (words >> _U64(1) & _U64(0x5555555555555555))
    fours = (pairs & _U64(0x3333333333333333)) + (pairs >> _U64(2) & _U64(0x3333333333333333))
    eights = (fours + (fours >> _U64(4))) & _U64(0x0F0F0F0F0F0F0F0F)
    return np.asarray(eights * _U64(0x0101010101010101) >> _U64(56), dtype=np.int64)


def _transposed(words: Hashes) -> Hashes:
    """Transpose each word as an 8×8 matrix of bits (Warren, Hacker's Delight, 7-3)."""
    for shift, mask in (
        (_U64(7), _U64(0x00AA00AA00AA00AA)),
        (_U64(14), _U64(0x0000CCCC0000CCCC)),
        (_U64(28), _U64(0x00000000F0F0F0F0)),
    ):
        swap = (words ^ words >> shift) & mask
        words = words ^ swap ^ swap << shift
    return words


def _cosines(
    features_ND: NDArray[np.floating] | FeatureTable, sample: Indices, pairs_E2: Indices
) -> Cosines:
    """Return the cosine of each pair of photos, after centring and whitening.

    Raw features are all alike: what all photos share, and then what a class shares, outweighs
    what tells two photos apart. Whitening gives each direction equal weight. The ridge, one
    photo's share of the variance, keeps down the directions for which few photos vouch.
    """
    directions_DK = np.random.default_rng(0).standard_normal(
        (features_ND.shape[1], _COMPONENTS), dtype=np.float32
    )
    mean_D = features_ND[sample].mean(axis=0, dtype=np.float32)
    sample_SK = (features_ND[sample] - mean_D) @ directions_DK
    variance_K, axes_KK = np.linalg.eigh(sample_SK.T @ sample_SK / np.float32(len(sample)))
    ridge = max(float(variance_K.sum()) / len(sample), 1e-12)  # equal features have no spread
    whiten_DK = directions_DK @ (axes_KK / np.sqrt(np.maximum(variance_K, 0) + ridge))
    photos, place = np.unique(pairs_E2, return_inverse=True)
    white = FeatureTable.of(features_ND).at(photos).mapped(lambda x_BD: (x_BD - mean_D) @ whiten_DK)
    white /= np.maximum(np.linalg.norm(white, axis=1, keepdims=True), 1e-12)
    cosines_E = np.empty(len(pairs_E2), dtype=np.float32)
    left_E, right_E = place.reshape(-1, 2).T
    for start in range(0, len(pairs_E2), _CHUNK):
        e = slice(start, start + _CHUNK)
        cosines_E[e] = np.einsum("ek,ek->e", white[left_E[e]], white[right_E[e]])
    return cosines_E


def _components(count: int, edges_E2: Indices) -> Indices:
    """Return for each of ``count`` nodes the lowest node it is connected with."""
    label = np.arange(count)
    i, j = edges_E2.T
    while not np.array_equal(label[i], label[j]):
        lowest = np.minimum(label[i], label[j])
        np.minimum.at(label, label[i], lowest)
        np.minimum.at(label, label[j], lowest)
        while not np.array_equal(label, label[label]):
            label = label[label]
    return label
